"""Xinference: the server, then `xinference launch`; it downloads the weights itself unless given a folder."""

xinference = (
    [
        ("10.0.0.61", {"rank": 0, "address": "10.0.0.61"}),
    ],
    {
        "recipe": "xinference/awq",  # Int4
        # "recipe": "xinference/pytorch",
        # "recipe": "xinference/mlx",      # macOS only; "variants": ["3bit"] ... ["8bit"]
        "model": "MiniMax-M2",
        # "weights": "/data/models/MiniMax-M2-AWQ",
        # "env": {"XINFERENCE_MODEL_SRC": "modelscope"},
        "auth": "off",  # this engine takes its key only on the command line, where everyone would see it
        "ssh_user": "root",
        "ssh_strict_host_key_checking": "yes",
        # every other option: see a2.py
    },
)
