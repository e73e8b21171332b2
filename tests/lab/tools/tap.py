"""A tap interface whose frames go over UDP to another one: `tap.py NAME OUR-ADDRESS THEIR-ADDRESS`."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys

PORT = 7777
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002

name, ours, theirs = sys.argv[1:4]
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
tunnel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tunnel.bind((ours, PORT))
while True:
    readable, _, _ = select.select([tap, tunnel.fileno()], [], [])
    with contextlib.suppress(OSError):  # either end may be down yet
        if tap in readable:
            tunnel.sendto(os.read(tap, 2048), (theirs, PORT))
        if tunnel.fileno() in readable:
            os.write(tap, tunnel.recv(2048))
