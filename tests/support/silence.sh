# For scripts whose checks are right where nothing is printed: counts them.
passed=0
failed=0

check() { # NAME OUTPUT: passes if there is no output
        if [ -z "$2" ]; then
                passed=$((passed + 1))
        else
                failed=$((failed + 1))
                printf 'failed: %s\n%s\n' "$1" "$2"
        fi
}
