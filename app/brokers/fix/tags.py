"""The numbers and letters of FIX 4.4 by their names: tags, message types, reasons. Pure.

Names are FIX's own, spelled out. The trap is a number in the middle of a rule: nobody sees
that 41 should have been 11, and both are there.
"""

from typing import Final

# The frame and the header.
BEGIN_STRING: Final = 8
BODY_LENGTH: Final = 9
MESSAGE_TYPE: Final = 35
NUMBER: Final = 34  # MsgSeqNum
SENDER: Final = 49
SENDER_SUB: Final = 50
TARGET: Final = 56
TARGET_SUB: Final = 57
SENDING_TIME: Final = 52
ORIGINAL_SENDING_TIME: Final = 122
POSSIBLE_DUPLICATE: Final = 43
POSSIBLE_RESEND: Final = 97
ON_BEHALF_OF: Final = 115
ON_BEHALF_OF_SUB: Final = 116
DELIVER_TO: Final = 128
DELIVER_TO_SUB: Final = 129
CHECKSUM: Final = 10

# The session.
BEGIN_NUMBER: Final = 7
END_NUMBER: Final = 16
NEW_NUMBER: Final = 36
GAP_FILL: Final = 123
REFERENCED_NUMBER: Final = 45
REFERENCED_TAG: Final = 371
REFERENCED_TYPE: Final = 372
REJECT_REASON: Final = 373
TEXT: Final = 58
ENCRYPTION: Final = 98
HEARTBEAT: Final = 108
TEST_ID: Final = 112
RESET_NUMBERS: Final = 141
USERNAME: Final = 553
PASSWORD: Final = 554
# A log-on carries these, and what is kept for days, or for people, must not.
SECRET: Final = frozenset({USERNAME, PASSWORD})
NEXT_EXPECTED: Final = 789

# Orders and what becomes of them.
ACCOUNT: Final = 1
AVERAGE_PRICE: Final = 6
CLIENT_ORDER_ID: Final = 11  # our broker_order_key
FILLED_QUANTITY: Final = 14
CURRENCY: Final = 15
EXECUTION_ID: Final = 17
REFERENCED_EXECUTION_ID: Final = 19
TRANSACTION: Final = 20  # ExecTransType, before 4.3
HANDLING: Final = 21
LAST_PRICE: Final = 31
LAST_QUANTITY: Final = 32
ORDER_ID: Final = 37
QUANTITY: Final = 38
ORDER_STATUS: Final = 39
ORDER_TYPE: Final = 40
ORIGINAL_CLIENT_ORDER_ID: Final = 41
LIMIT_PRICE: Final = 44
CAPACITY: Final = 47  # Rule80A, for brokers that still want it
SIDE: Final = 54
SYMBOL: Final = 55
TIME_IN_FORCE: Final = 59
TRANSACT_TIME: Final = 60
LIST_ID: Final = 66
LIST_INDEX: Final = 67
LIST_COUNT: Final = 68
ORDERS: Final = 73  # NoOrders: how many a list carries here
TRADE_DATE: Final = 75
CANCEL_REJECT_REASON: Final = 102
ORDER_REJECT_REASON: Final = 103
EXECUTION_TYPE: Final = 150
REMAINING_QUANTITY: Final = 151
MARKET: Final = 207
BUSINESS_REFERENCE: Final = 379
BUSINESS_REASON: Final = 380
BID_TYPE: Final = 394
CANCEL_REJECT_RESPONSE: Final = 434
LIST_STATUS_KIND: Final = 431  # ListOrderStatus
LIST_STATUS_TEXT: Final = 444
LAST_FRAGMENT: Final = 893
LIST_REJECT_REASON: Final = 1386
MASS_STATUS_ID: Final = 584
MASS_STATUS_TYPE: Final = 585
STATUS_ID: Final = 790
TOTAL_REPORTS: Final = 911
LAST_REPORT: Final = 912

# MsgType (35): the session's own.
HEARTBEAT_TYPE: Final = "0"
TEST_REQUEST: Final = "1"
RESEND_REQUEST: Final = "2"
REJECT: Final = "3"
SEQUENCE_RESET: Final = "4"
LOGOUT: Final = "5"
LOGON: Final = "A"
SESSION_TYPES: Final = frozenset("012345A")
# The application's.
EXECUTION_REPORT: Final = "8"
CANCEL_REJECT: Final = "9"
NEW_ORDER: Final = "D"
NEW_LIST: Final = "E"
CANCEL: Final = "F"
REPLACE: Final = "G"
STATUS: Final = "H"
LIST_STATUS: Final = "N"
MASS_STATUS: Final = "AF"
BUSINESS_REJECT: Final = "j"
# Every type that FIX 4.4 defines; what is none of them, and not a user's own (U…), is invalid.
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TYPES: Final = frozenset(
    {*"0123456789", *(set(_LETTERS) - {"I", "O", "U"}), *"abcdefghijklmnopqrstuvwxyz"}
    | {f"A{letter}" for letter in _LETTERS}
    | {f"B{letter}" for letter in "ABCDEFGH"}
)

# SessionRejectReason (373).
INVALID_TAG: Final = 0
TAG_MISSING: Final = 1
NO_VALUE: Final = 4
BAD_VALUE: Final = 5
BAD_FORMAT: Final = 6
COMP_ID_PROBLEM: Final = 9
TIME_PROBLEM: Final = 10
INVALID_TYPE: Final = 11
TAG_REPEATED: Final = 13
# BusinessRejectReason (380).
UNKNOWN_ID: Final = "1"
UNSUPPORTED_TYPE: Final = "3"
NOT_AVAILABLE: Final = "4"
NOT_AUTHORIZED: Final = "6"
THROTTLED: Final = "8"
