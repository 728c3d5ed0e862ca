#!/usr/bin/env python3
"""Writes the table of powers of ten of src/value/powers.c to stdout: tools/powers.py > src/value/powers.c

Before that it searches what src/value/number.c relies on: no number of up to 55 bits times a power of two and of ten, as they
occur there, lies less than 2^-64 below an integer.
"""

LEAST, MOST = -342, 324



def first_between(step, modulus, low, high):
    """The first count for which low <= count * step % modulus <= high; None if there is none."""
    if low == 0:
        return 0
    if step == 0:
        return None
    if 2 * step > modulus:
        step, low, high = modulus - step, modulus - high, modulus - low
    count = -(-low // step)
    if count * step <= high:
        return count
    turns = first_between(modulus % step, step, -high % step, -low % step)
    return None if turns is None else -(-(low + modulus * turns) // step)


for exponent in range(-1074, 972):
    for power in {exponent * 1262611 >> 22, exponent * 1262611 - 524031 >> 22}:
        step = 2 ** max(exponent, 0) * 10 ** max(-power, 0)
        modulus = 2 ** max(-exponent, 0) * 10 ** max(power, 0)
        if modulus >> 64:
            count = first_between(step % modulus, modulus, modulus - (modulus >> 64), modulus - 1)
            assert -55 <= power <= 0 or count is None or count > 2 ** 55 + 2

print("""/* Powers of ten, written by tools/powers.py. The upper 128 bits of each, the rest cut off: 10^0 to 10^55 are exact. */
#include "value/powers.h"

const struct power powers[POWER_MOST - POWER_LEAST + 1] = {""")
for exponent in range(LEAST, MOST + 1):
    numerator, denominator = 10 ** max(exponent, 0), 10 ** max(-exponent, 0)
    shift = 128 - numerator.bit_length() + denominator.bit_length()
    bits = (numerator << max(shift, 0)) // (denominator << max(-shift, 0))
    while bits >> 128:
        shift -= 1
        bits = (numerator << max(shift, 0)) // (denominator << max(-shift, 0))
    assert bits >> 127 == 1
    print("        { 0x%016x, 0x%016x },  /* %d */" % (bits >> 64, bits & (1 << 64) - 1, exponent))
print("};")
