"""Lets `python3 -m sglang.launch_server` start the double; nothing of SGLang is here."""
