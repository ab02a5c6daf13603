"""PORT [DELAY FILE]: the smallest HTTP server that says 200 to everything.

With DELAY it opens its port only after so many seconds, and writes the moment (ns since the epoch) to FILE.
"""

import socket
import sys
import time

server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
if len(sys.argv) > 2:
    time.sleep(float(sys.argv[2]))
moment = time.time_ns()
server.listen(64)
if len(sys.argv) > 2:
    with open(sys.argv[3], "w") as out:
        out.write(str(moment))
while True:
    connection = server.accept()[0]
    connection.settimeout(2)
    try:
        while connection.recv(4096):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    except OSError:
        pass
    connection.close()
