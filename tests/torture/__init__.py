"""What holds when processes are killed, disks fill and two do the same: `make torture`."""
