"""Two Atlas 800I A2 nodes, vLLM-Ascend: tp 8 inside each node, dp 2 across.

One group per file: the cluster, named by the group. Hosts first, then the cluster's data.
Check it without a connection:  python -m roles.plan inventories/a2.py --explain
"""

a2 = (
    [
        # name (what SSH connects to), then who the node is in its replica:
        #   rank     place in the replica; rank 0 has the API
        #   address  IPv4 address on the cluster network (default: the name, when it is an address)
        #   nic      interface that carries the address (ip -o addr)
        #   replica  default "r0"; name a second pair "r1" to serve two replicas from one inventory
        # and any of pyinfra's own keys, such as ssh_port, ssh_user or ssh_key.
        ("10.0.0.11", {"rank": 0, "address": "10.0.0.11", "nic": "enp67s0f0np0"}),
        ("10.0.0.12", {"rank": 1, "address": "10.0.0.12", "nic": "enp67s0f0np0"}),
    ],
    {
        "recipe": "vllm-ascend/a2-dual",  # a path under files/recipes
        "model": "MiniMax-M2.5",  # a name of files/models, or a hub id
        "weights": "/opt/data/verification/models/MiniMax-M2.5",  # on every node
        "ssh_user": "root",
        "ssh_strict_host_key_checking": "yes",
        # --- everything below is optional and shown with its default, or as an example ---
        # "auth": "generate",            # API key: made once; or "file:/path/on/this/machine", or "off"
        # "privileges": "seed",          # as the vendor runs it (--privileged); "least" leaves that out
        # "topology": "switched",        # NPU network: "back-to-back" or "direct-out" change the recipe
        # "firewall": False,             # True closes all but SSH and the API to other machines
        # "expose": "direct",            # "proxy": an nginx on rank 0's node, which passes only /v1/* and /health
        # "tls": {"cert": "/etc/ssl/api.crt", "key": "/etc/ssl/api.pem"},  # the proxy's certificate; files on this machine
        # "restart": "gang",             # "never" leaves a dead replica down
        # "version": "0.18.0",           # another release: picks the image tag and what it accepts
        # "image": "registry.local/vllm-ascend:v0.18.0",  # an own image, taken as it is
        # "image_os": "ubuntu",          # "openeuler": tag suffix and jemalloc path
        # "arch": "aarch64",             # or "x86_64"
        # "flags": {"max-num-seqs": 64, "async-scheduling": None},  # set or remove engine flags
        # "env": {"HCCL_BUFFSIZE": 512},  # set or remove variables
        # "mounts": ["/data/logs:/logs", "/data/prompts:/prompts:ro"],
        # "ports": {"api": 20004, "rpc": 2347, "hccl": 60000, "gang": 27431},
        # "timeouts": {"ready": 5400},   # seconds
        # "liveness": {"every": 30, "deadline": 60, "strikes": 3, "restarts": 5},  # how it is watched on its nodes
        # "profiler": "/data/profiles",  # turns the profiler on
        # "variants": ["responses"],     # see the recipe
        # "devices": [0, 1, 2, 3, 4, 5, 6, 7],
        # "hub_token": "env:HF_TOKEN",   # for downloads of gated weights
    },
)
