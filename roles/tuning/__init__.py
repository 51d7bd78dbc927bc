"""Host settings the engines' pages ask for, set now and at every boot; what was there before is kept and can be put back."""
