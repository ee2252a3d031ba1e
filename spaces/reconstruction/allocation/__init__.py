"""How treatments are shared out over layers: by what each costs at the output and in bytes."""
