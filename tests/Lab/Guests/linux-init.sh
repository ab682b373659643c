#!/bin/busybox sh
# The init of the Linux guest: a tmpfs file of lab.mib MiB of random bytes, whose checksum it prints for ever.
# The expected sum and the counter live in this shell's memory, so a restored guest that lost a page says BAD by itself.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t tmpfs -o size=100% tmpfs /data

mib=16
for word in $($b cat /proc/cmdline); do
    case $word in lab.mib=*) mib=${word#lab.mib=} ;; esac
done

sum() { $b sha256sum </data/file | $b cut -d ' ' -f 1; }

$b dd if=/dev/urandom of=/data/file bs=1M count=$mib 2>/dev/null || echo "BAD no space for $mib MiB"
expected=$(sum)
echo "READY $expected"
counter=0
while :; do
    $b sleep 1
    counter=$((counter + 1))
    now=$(sum)
    [ "$now" = "$expected" ] || echo "BAD $now"
    echo "SUM $now $counter"
done
