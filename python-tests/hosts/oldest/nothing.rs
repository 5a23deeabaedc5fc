// Only there so that Cargo takes this for a package.
