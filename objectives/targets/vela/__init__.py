"""The vela target: estimates of the compiler Vela for Arm Ethos-U NPUs."""
