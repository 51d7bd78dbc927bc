"""One node of 8 NVIDIA H200 (or H20): vLLM with dp 8 and expert parallel."""

h200 = (
    [
        ("10.0.0.41", {"rank": 0, "address": "10.0.0.41"}),
    ],
    {
        "recipe": "vllm/nvidia-dp8-ep",
        # "recipe": "vllm/nvidia-tp4",           # 4 GPUs (H200, H20, A100, A800)
        # "recipe": "sglang/nvidia-tp8-ep8",     # SGLang instead
        # "recipe": "sglang/nvidia-tp4",
        "model": "MiniMax-M2.1",
        "weights": "/data/models/MiniMax-M2.1",
        "ssh_user": "ubuntu",
        "ssh_strict_host_key_checking": "yes",
        "_sudo": True,  # pyinfra's own key: become root
        # "runtime": "venv",            # no container: an environment made by uv under /var/lib/bringup
        # "variants": ["piecewise"],    # after "CUDA error: an illegal memory access"
        # "variants": ["responses"],    # for /v1/responses
        # "devices": [4, 5, 6, 7],      # with tp 4 on a shared node
        # "bench": {"gsm8k": {"data": "/data/gsm8k/test.jsonl"}},  # data sets of SGLang's accuracy benchmarks, and a mount of them
        # every other option: see a2.py
    },
)
