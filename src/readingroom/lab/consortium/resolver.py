"""A resolver for a few invented names, over UDP, TCP and TLS. Must not know who asks."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from . import LIBRARY_SYSTEM, LIBRARY_SYSTEM6, RESOLVER, RESOLVER6, WEB, WEB6, credentials

OURS = dns.name.from_text("example.")
# Names that lead somewhere else than to the one web server.
NAMES = {
    credentials.LIBRARY_SYSTEM: (LIBRARY_SYSTEM, LIBRARY_SYSTEM6),
    "catalogue.library.example": (LIBRARY_SYSTEM, LIBRARY_SYSTEM6),
    credentials.RESOLVER: (RESOLVER, RESOLVER6),
}
_SECONDS = 30


def answer(asked: bytes) -> bytes:
    """What is said to a query, as bytes of a message.

    >>> query = dns.message.make_query("opening.library.example", "A")
    >>> [str(one) for one in dns.message.from_wire(answer(query.to_wire())).answer]
    ['opening.library.example. 30 IN A 203.0.113.80']
    >>> dns.message.from_wire(answer(dns.message.make_query("elsewhere.test", "A").to_wire())).rcode().name
    'NXDOMAIN'
    """
    query = dns.message.from_wire(asked)
    reply = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    if not question.name.is_subdomain(OURS):
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
    four, six = NAMES.get(question.name.to_text(omit_final_dot=True).lower(), (WEB, WEB6))
    address = {dns.rdatatype.A: four, dns.rdatatype.AAAA: six}.get(question.rdtype)
    if address:
        reply.answer.append(dns.rrset.from_text(question.name, _SECONDS, "IN", question.rdtype, address))
    return reply.to_wire()
