"""What the documents and the declaration say, for the tests that hold the library against them."""
