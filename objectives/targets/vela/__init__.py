"""Arm Ethos-U NPUs, as their compiler Vela estimates them."""
