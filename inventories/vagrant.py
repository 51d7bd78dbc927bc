"""The Vagrantfile's two machines on the lab's node image: an A2 pair with simulated accelerators and a real, tiny engine."""

vagrant = (
    [
        ("10.77.1.11", {"rank": 0, "address": "10.77.1.11", "nic": "enp67s0f0np0"}),
        ("10.77.1.12", {"rank": 1, "address": "10.77.1.12", "nic": "enp67s0f0np0"}),
    ],
    {
        "recipe": "lab/a2-dual",
        "model": "MiniMax-M2-lab",
        "weights": "/opt/lab/shared/models/chain",
        "arch": "x86_64",
        "ssh_user": "root",
        "ssh_key": "/var/lib/bringup-lab/keys/id_ed25519",
        "ssh_strict_host_key_checking": "accept-new",  # Vagrant's machines make their host keys at every `vagrant up`
    },
)
