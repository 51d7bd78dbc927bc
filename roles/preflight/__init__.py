"""The node itself and its network, looked at and judged before anything is changed."""
