# Reads the apt sources of a machine. Sourced; every function takes the root folder, "" for the machine itself.

# backports_stanza ROOT CODENAME: a deb822 stanza for CODENAME-backports on the mirror, and with the key, of the first
# enabled source that serves CODENAME main. Prints nothing where there is none.
backports_stanza() {
    source_entries "$1" | awk -F '\t' -v codename="$2" '
        {
            split($2, suites, " "); split($3, components, " ")
            suite = component = 0
            for (i in suites) if (suites[i] == codename) suite = 1
            for (i in components) if (components[i] == "main") component = 1
            if (!suite || !component) next
            print "Types: deb"
            print "URIs: " $1
            print "Suites: " codename "-backports"
            print "Components: main"
            # A key inside the sources file spans lines, which source_entries joins by \001.
            if (gsub(/\001/, "\n ", $4)) print "Signed-By:\n " $4
            else if ($4 != "") print "Signed-By: " $4
            if ($5 != "") print "Trusted: " $5
            exit
        }'
}

# serves_suite ROOT SUITE: true when an enabled source names the suite.
serves_suite() {
    source_entries "$1" | awk -F '\t' -v suite="$2" '
        { split($2, suites, " "); for (i in suites) if (suites[i] == suite) found = 1 }
        END { exit !found }'
}

# source_entries ROOT: a line for each enabled binary source: URIs, suites, components, Signed-By, Trusted, separated by tabs.
source_entries() {
    local file
    for file in "$1/etc/apt/sources.list" "$1"/etc/apt/sources.list.d/*.list; do
        if [ -f "$file" ]; then one_line_entries "$file"; fi
    done
    for file in "$1"/etc/apt/sources.list.d/*.sources; do
        if [ -f "$file" ]; then deb822_entries "$file"; fi
    done
}

# deb [option=value option=value] URI suite component...
one_line_entries() {
    awk '
        { sub(/#.*/, ""); sub(/\r$/, "") }
        $1 != "deb" { next }
        {
            line = $0; key = trusted = ""
            sub(/^[ \t]*deb[ \t]+/, "", line)
            if (line ~ /^\[/) {
                options = substr(line, 2, index(line, "]") - 2)
                line = substr(line, index(line, "]") + 1)
                count = split(options, option, " ")
                for (i = 1; i <= count; i++) {
                    value = option[i]; sub(/^[^=]*=/, "", value)
                    if (option[i] ~ /^signed-by=/) key = value
                    if (option[i] ~ /^trusted=/) trusted = value
                }
            }
            count = split(line, word, " ")
            components = ""
            for (i = 3; i <= count; i++) components = components (i > 3 ? " " : "") word[i]
            print word[1] "\t" word[2] "\t" components "\t" key "\t" trusted
        }' "$1"
}

# Stanzas of "Field: value" separated by empty lines; a line that begins with a space continues the field above.
deb822_entries() {
    awk '
        function flush() {
            if ((" " field["types"] " ") ~ / deb / && tolower(field["enabled"]) !~ /^(no|false|0|off)$/)
                print field["uris"] "\t" field["suites"] "\t" field["components"] "\t" field["signed-by"] "\t" field["trusted"]
            delete field
            name = ""
        }
        { sub(/\r$/, "") }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ {
            value = $0; sub(/^[ \t]+/, "", value); sub(/[ \t]+$/, "", value)
            if (name == "signed-by") field[name] = field[name] (field[name] == "" ? "" : "\001") value
            else field[name] = field[name] (field[name] == "" ? "" : " ") value
            next
        }
        {
            colon = index($0, ":")
            name = tolower(substr($0, 1, colon - 1))
            value = substr($0, colon + 1); sub(/^[ \t]+/, "", value); sub(/[ \t]+$/, "", value)
            gsub(/\t/, " ", value)
            field[name] = value
        }
        END { flush() }' "$1"
}
