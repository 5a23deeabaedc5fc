"""What the commands in scripts/ share; all but `mutants` on a Python without packages."""
