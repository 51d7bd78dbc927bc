"""One Atlas 800 A3 node (16 chips), short context: tp 4, dp 4, Eagle3 speculation."""

a3 = (
    [
        ("10.0.0.31", {"rank": 0, "address": "10.0.0.31", "nic": "enp67s0f0np0"}),
    ],
    {
        "recipe": "vllm-ascend/a3",
        # "recipe": "vllm-ascend/a3-low-latency",   # tp 16, 32768 tokens
        # "recipe": "vllm-ascend/a3-long-context",  # 138000 tokens; withdrawn upstream, warned about
        "model": "MiniMax-M2.5-w8a8-QuaRot",  # or "MiniMax-M2.5": fp8 fits 16 chips
        "weights": "/mnt/sfs_turbo/.cache/MiniMax-M2.5-w8a8-QuaRot",
        "draft": "/mnt/sfs_turbo/.cache/MiniMax-M2.5-eagle3",  # leave out to serve without speculation
        "ssh_user": "root",
        "ssh_strict_host_key_checking": "yes",
        # every other option: see a2.py
    },
)
