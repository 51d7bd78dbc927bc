"""The lab's two nodes (make lab-up): an A2 pair with simulated accelerators and a real, tiny engine.

The names are the management addresses that SSH connects to; the engine uses the cluster network.
"""

lab = (
    [
        ("10.78.0.11", {"rank": 0, "address": "10.77.0.11", "nic": "enp67s0f0np0"}),
        ("10.78.0.12", {"rank": 1, "address": "10.77.0.12", "nic": "enp67s0f0np0"}),
    ],
    {
        "recipe": "lab/a2-dual",
        "model": "MiniMax-M2-lab",
        "weights": "/opt/lab/shared/models/chain",
        "arch": "x86_64",
        "ssh_user": "root",
        "ssh_key": "/var/lib/bringup-lab/keys/id_ed25519",
        "ssh_known_hosts_file": "/var/lib/bringup-lab/keys/known_hosts",
        "ssh_strict_host_key_checking": "yes",
    },
)
