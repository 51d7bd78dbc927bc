"""One node of 8 AMD MI300X: SGLang with tp 8 and ep 8, its two source patches made in the container."""

mi300x = (
    [
        ("10.0.0.51", {"rank": 0, "address": "10.0.0.51"}),
    ],
    {
        "recipe": "sglang/mi300x-tp8-ep8",
        # "recipe": "sglang/mi300x-tp4",   # 4 GPUs
        # "recipe": "vllm/rocm-mi300x",    # vLLM, dp 8 and expert parallel; its image tag moves
        "model": "MiniMax-M2.1",
        "weights": "/data/models/MiniMax-M2.1",
        "auth": "off",  # this engine takes its key only on the command line, where everyone would see it
        "ssh_user": "root",
        "ssh_strict_host_key_checking": "yes",
        # "privileges": "least",           # without --privileged
        # every other option: see a2.py
    },
)
