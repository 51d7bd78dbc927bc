"""The rooms of bringup: one package per role, plus the pure plan and the run policy."""
