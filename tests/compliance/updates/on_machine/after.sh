# Runs when the view is gone, also if what ran in it was killed: the canary package must not stay, half-installed least of all.
canary=$1
for try in 1 2 3 4 5 6 7 8 9 10; do
    dpkg-query --show "$canary" >/dev/null 2>&1 || exit 0
    dpkg --purge --force-remove-reinstreq "$canary" >/dev/null 2>&1 && exit 0
    sleep 1 # somebody else is installing something; dpkg has no way to wait for that
done
exit 1
