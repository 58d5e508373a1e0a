"""NMEA 0183: sentences out of bytes, readings out of sentences. No I/O.

Follows NMEA 0183 version 4.11, and gpsd's "NMEA Revealed" (https://gpsd.io/NMEA.html) where receivers differ from it.
"""

from .decoder import Decoder
from .framing import MAX_SENTENCE, Sentence, SentenceReader
from .quantities import QUANTITIES
from .sentences import KNOT

__all__ = ["KNOT", "MAX_SENTENCE", "QUANTITIES", "Decoder", "Sentence", "SentenceReader"]
