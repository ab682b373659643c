#!/bin/busybox sh
# The init of the Linux guest: a tmpfs file of lab.mib MiB of random bytes, whose checksum it prints for ever.
# The expected sum and the counter live in this shell's memory, so a restored guest that lost a page says BAD by itself.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t tmpfs -o size=100% tmpfs /data

mib=16
disk=
for word in $($b cat /proc/cmdline); do
    case $word in
        lab.mib=*) mib=${word#lab.mib=} ;;
        lab.disk) disk=/dev/vda ;;
    esac
done

sum() { $b sha256sum </data/file | $b cut -d ' ' -f 1; }

$b dd if=/dev/urandom of=/data/file bs=1M count=$mib 2>/dev/null || echo "BAD no space for $mib MiB"
expected=$(sum)

# Writes the file to the disk and reads it back, past the page cache: while that goes on the disk writes into memory.
load() {
    while :; do
        $b dd if=/data/file of=$disk bs=256k oflag=direct conv=notrunc 2>/dev/null || echo "BAD write of $disk"
        $b dd if=$disk of=/data/back bs=256k count=$((mib * 4)) iflag=direct 2>/dev/null || echo "BAD read of $disk"
        back=$($b sha256sum </data/back | $b cut -d ' ' -f 1)
        [ "$back" = "$expected" ] || echo "BAD $back from $disk"
        echo "DISK"
    done
}

if [ -n "$disk" ]; then
    # Which of them needs which differs between kernels, so those that found something missing are tried again.
    until [ -b $disk ]; do
        for module in /modules/*.ko; do
            $b insmod $module 2>/dev/null
        done
        $b usleep 100000
    done
    load &
fi

echo "READY $expected"
counter=0
while :; do
    $b sleep 1
    counter=$((counter + 1))
    now=$(sum)
    [ "$now" = "$expected" ] || echo "BAD $now"
    echo "SUM $now $counter"
done
