#!/usr/bin/env python3
"""Compare what tests have seen with the documentation: each errno that a function returned has a @retval.

pairs.py PAIRS HEADER…

PAIRS has a line "FUNCTION NUMBER" for each (tests/support/pairs.c). A function that returns the errno of another, which its @return
names, needs no @retval for that; neither do the errnos of the system, which a table in ferry.h has. Results that are the program's own, as those of its callbacks, are not compared.
"""
import errno
import re
import sys
from pathlib import Path

# A callback, a codec or a stream of the program chooses the number.
OWN_RESULTS = {'ferry_loop_run', 'ferry_loop_tick', 'ferry_manager_wait', 'ferry_manager_stop', 'ferry_codec_encode', 'ferry_codec_decode',
               'ferry_codec_explain_encode', 'ferry_codec_explain_decode'}


def read(headers):
    errnos, named = {}, {}
    for header in headers:
        for comment, name in re.findall(r'/\*\*((?:(?!\*/).)*)\*/\n[a-z][^\n(]*?\b(ferry_[a-z_]+)\(', Path(header).read_text(), re.S):
            errnos[name] = set(re.findall(r'@retval -(E[A-Z0-9]+)', comment))
            result = re.search(r'@return(.*?)(?:@retval|$)', comment, re.S)
            named[name] = set(re.findall(r'(ferry_[a-z_]+)\(\)', result.group(1))) if result else set()
    return errnos, named


def main():
    errnos, named = read(sys.argv[2:])
    system = set(re.findall(r'`-(E[A-Z0-9]+)`', Path(next(path for path in sys.argv if path.endswith('/ferry.h'))).read_text()
                            .split('# Errnos of the system')[1]))
    seen = {tuple(line.split()) for line in Path(sys.argv[1]).read_text().splitlines()}
    passed = failed = 0
    for name, number in sorted(seen):
        code = errno.errorcode.get(int(number), number).replace('EDEADLOCK', 'EDEADLK')
        allowed = set(errnos.get(name, ())).union(system, *(errnos.get(other, set()) for other in named.get(name, ())))
        if 'ENOTSUP' in allowed or 'EOPNOTSUPP' in allowed:
            allowed |= {'ENOTSUP', 'EOPNOTSUPP'}
        if name in OWN_RESULTS or code in allowed:
            passed += 1
        else:
            failed += 1
            print(f'failed: {name} has returned -{code}, for which its comment has no @retval')
    print(f'pairs: {passed} passed, {failed} failed')
    sys.exit(failed > 0 or passed == 0)


main()
