#!/bin/bash
# Runs the fault table, then asks what it has reached: every site in the library must have been come to.
# A site is a line of the source that calls a function of util/sys.h; the compiler may have made several calls of it, of
# which one is enough.
#
#   test-sites.sh PROGRAM
#
# A call that ends its function is a jump, and returns to the caller of that: such a one counts as reached if its function
# was seen to be called, and to return from that call (where it is only called by pointer: from any such call).
set -u
program=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

FERRY_SITES=$folder/sites "$program"
status=$?

# A sanitizer makes other code, with calls of its own between; what the library calls is the same.
if nm "$program" | grep -qE "__(asan|msan|tsan)_init"; then
        exit $status
fi

# "ADDRESS-BEHIND CALL FUNCTION KIND" of each place, and "ADDRESS-BEHIND FUNCTION" of all other calls.
objdump -d --no-show-raw-insn "$program" | awk -v folder="$folder" '
        /^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]/, "", name); next }
        behind != "" && /^ *[0-9a-f]+:/ {
                address = $1
                sub(/:/, "", address)
                print address, behind > kind
                behind = ""
        }
        name ~ /^__(wrap|real)_/ { next }
        /\t(call|jmp) +[0-9a-f]+ <__wrap_sys_[a-z_]+>$/ {
                call = $NF; gsub(/<__wrap_sys_|>/, "", call)
                address = $1; sub(/:/, "", address)
                if (/\tcall/) { kind = folder "/places"; behind = call " " name " " address }
                else print address, call, name > folder "/jumps"
                next
        }
        /\tcall +[0-9a-f]+ </ { target = $NF; gsub(/[<>]/, "", target); kind = folder "/calls"; behind = target; next }
        /\tjmp +[0-9a-f]+ <[a-z_.0-9]+>$/ {
                target = $NF
                gsub(/[<>]/, "", target)
                if (target != name)
                        print name, target > folder "/tails"
        }
        /\tcall +\*/ { kind = folder "/calls"; behind = "*" }'
touch "$folder/jumps" "$folder/tails"

awk -v folder="$folder" '
        FILENAME ~ /sites$/ && $1 != "faults" { seen[$1] = seen[$1] " " $2; next }
        FILENAME ~ /calls$/ { callers[$2] = callers[$2] " " $1; next }
        FILENAME ~ /tails$/ { before[$2] = before[$2] " " $1; next }
        FILENAME ~ /places$/ { print $4, $2, ($1 in seen) ? "reached" : "missed"; next }
        # Whether a call of that kind was seen to return to a caller of the function, or of one that ends with it.
        function is_seen(call, name, depth,    list, n, i) {
                n = split(callers[name] == "" && before[name] == "" ? callers["*"] : callers[name], list)
                for (i = 1; i <= n; i++)
                        if ((seen[list[i]] " ") ~ " " call " ")
                                return 1
                n = split(before[name], list)
                for (i = 1; i <= n && depth < 4; i++)
                        if (is_seen(call, list[i], depth + 1))
                                return 1
                return 0
        }
        FILENAME ~ /jumps$/ { print $1, $2, is_seen($2, $3, 0) ? "reached" : "missed" }' \
        "$folder/sites" "$folder/calls" "$folder/tails" "$folder/places" "$folder/jumps" > "$folder/places-seen"

# "CALL FUNCTION LINE reached", or missed, once for each line of the library.
cut -d ' ' -f 1 "$folder/places-seen" | addr2line -f -e "$program" | paste -d ' ' - - | sed 's/ (.*//' |
        paste -d ' ' "$folder/places-seen" - | awk '
        $5 ~ /\/src\// {
                sub(/.*\/src\//, "src/", $5)
                site = $2 " " $4 " " $5
                state[site] = $3 == "reached" || state[site] == "reached" ? "reached" : "missed"
        }
        END { for (site in state) print site, state[site] }' | sort > "$folder/lines"

total=$(wc -l < "$folder/lines")
reached=$(grep -c ' reached$' "$folder/lines")
printf '%s sites, %s reached, %s\n' "$total" "$reached" \
        "$(sed -n 's/^faults \([0-9]*\) .*/\1 faults tried/p' "$folder/sites")"
sed -n 's/^\(.*\) \(.*\) \(.*\) missed$/not reached: \1 in \2, \3/p' "$folder/lines"
passed=$reached failed=$((total - reached))
# A library in which nothing is found was not looked at.
[ "$total" -gt 100 ] || failed=$((failed + 1))
echo "sites: $passed passed, $failed failed"
[ $status = 0 ] && [ $failed = 0 ]
