"""Run policy: what every verb shares once pyinfra is there."""
