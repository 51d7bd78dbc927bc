"""One Atlas 800I A2 node with w8a8 weights: upstream's present advice for A2.

Two such nodes are two replicas: give the second host {"replica": "r1"}.
"""

a2_single = (
    [
        ("10.0.0.21", {"rank": 0, "address": "10.0.0.21", "nic": "enp67s0f0np0"}),
        # ("10.0.0.22", {"rank": 0, "address": "10.0.0.22", "nic": "enp67s0f0np0", "replica": "r1"}),
    ],
    {
        "recipe": "vllm-ascend/a2-single",
        "model": "MiniMax-M2.5-w8a8-QuaRot",  # fp8 does not fit one node: it is dequantised to bf16
        "weights": "/opt/models/MiniMax-M2.5-w8a8-QuaRot",
        "ssh_user": "root",
        "ssh_strict_host_key_checking": "yes",
        # "draft": "/opt/models/MiniMax-M2.5-eagle3",  # Eagle3 head: speculates three tokens ahead
        # "variants": ["responses"],
        # every other option: see a2.py
    },
)
