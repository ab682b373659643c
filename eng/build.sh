# Building. Sourced by the scripts at the root, which set $root to the repository.

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

client="$root/artifacts/bin/DistMigrate.Client/release/distmigrate"
silo="$root/artifacts/bin/DistMigrate.Silo/release/distmigrate-silo"
product_stamp="$root/artifacts/product.stamp"

# True when no input of the product is newer than its last build. A folder counts as an input, since its time moves when a file
# in it is removed. This runs before every command, so it starts one process and stops at the first newer input.
product_is_current() {
    [ -x "$client" ] && [ -x "$silo" ] && [ -e "$product_stamp" ] &&
        [ -z "$(cd -- "$root" &&
            find Client Contracts Grains Guests MappedRam Posix Silo Tls Transfer \
                Directory.Build.props Directory.Packages.props global.json .editorconfig BannedSymbols.txt eng/product.slnf \
                \( -name bin -o -name obj \) -prune -o -newer "$product_stamp" -print -quit)" ]
}

# build ARGUMENTS OF DOTNET BUILD: a Release build that includes the product, with paths relative to the repository, whose global.json
# chooses the SDK. The stamp gets the time of the beginning: what is edited meanwhile is newer.
build() {
    touch -- "$product_stamp.$$"
    if (cd -- "$root" && dotnet build -c Release -nologo -v quiet "$@"); then
        mv -- "$product_stamp.$$" "$product_stamp"
    else
        rm -f -- "$product_stamp.$$"
        return 1
    fi
}

# with_build_lock COMMAND...: two builds at once would write the same files. The lock is not handed down, because dotnet leaves build servers running that would hold it.
with_build_lock() {
    mkdir -p -- "$root/artifacts"
    (
        flock 9
        "$@" 9>&-
    ) 9>"$root/artifacts/build.lock"
}

# ensure_product: builds the product when a source is newer.
ensure_product() {
    if product_is_current; then return; fi
    "$root/eng/require" sdk && with_build_lock build_product
}

build_product() {
    if product_is_current; then return; fi
    local log
    log=$(mktemp)
    echo 'building…' >&2
    if ! build eng/product.slnf >"$log" 2>&1; then
        cat -- "$log" >&2
        rm -f -- "$log"
        echo 'distmigrate: the build failed, see above.' >&2
        return 1
    fi
    rm -f -- "$log"
}
