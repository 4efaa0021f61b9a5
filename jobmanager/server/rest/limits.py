"""How much of the server slow, many or hostile clients can take.

A connection is always in one phase, and each phase has a time by which it is over.
"""

from __future__ import annotations

from typing import Final

#: Connections at once; beyond them one that has asked for nothing yet goes, the longest first.
CONNECTIONS_MAX: Final = 512
#: Connections at once from one address that is not this machine.
CONNECTIONS_PER_PEER_MAX: Final = 128
#: Connections that the operating system keeps for us to accept.
BACKLOG: Final = 128
#: Bytes of a request's line and headers together, and of one line between the pieces of a body.
HEAD_BYTES_MAX: Final = 32 * 1024
#: Time for a TLS handshake.
HANDSHAKE_SECONDS: Final = 5.0
#: Time from the connection, or the answer before, to the last byte of the next request's headers.
HEAD_SECONDS: Final = 10.0
#: Time for a body, and bytes a second that extend it.
BODY_SECONDS: Final = 20.0
BODY_BYTES_PER_SECOND_MIN: Final = 16 * 1024
#: Time in which the client has to take the answer.
ANSWER_SECONDS: Final = 60.0
#: Time that what follows an answer (a body that was refused) is read and thrown away.
LINGER_SECONDS: Final = 2.0
#: How often the phases are looked at.
SWEEP_SECONDS: Final = 0.5
#: Pause after an accept that failed for want of file descriptors.
ACCEPT_RETRY_SECONDS: Final = 0.2
#: Time that requests under way get at the end.
STOP_GRACE_SECONDS: Final = 1.0
