"""What the doors say of themselves: the OpenAPI document, its examples, and a page to read.

The trap: a description beside the code. It would be right on the day it was written; so all of it
is made from the doors, and a stock generator makes a working client of it in a test.
"""
