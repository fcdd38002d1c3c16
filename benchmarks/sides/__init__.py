"""What each library is asked to do, a module a library. Each lives in a process of its own."""
