#!/usr/bin/env bash
# deps.sh - prepares the C libraries of qmux-uring from Debian's packages, through apt alone.
#
#   tools/deps.sh [--allow-stale] [--refresh]    prepare them; the last line of output is the prefix
#   tools/deps.sh --print                        the prefix only, prepared or not
#
#   PREFIX/include, PREFIX/lib/*.a               headers and static archives, fit for static-pie
#   PREFIX/VERSIONS                              what was obtained: name, version, suite, how
#
# The prefix lies in the user's cache and is named after versions, flags and compiler, so another
# clone finds it there, at once and without network.  It is built aside and renamed when whole.
#
# The machine's apt is read and never changed: its mirror is used through a second configuration
# with its own lists, cache and suites.  Every file is checked against an index that Debian's archive
# key signed.  An index past its Valid-Until is refused where the machine's apt refuses one;
# --allow-stale takes it all the same (signatures and least versions are still checked).
# --refresh looks for newer packages, Debian's patched wolfSSL above all, and builds anew.
#
# JOBS=N (default: all cores) and NICE=N bound what it takes of the machine.
set -euo pipefail
umask 022
export LC_ALL=C

# ---- what we want, where it is looked for (best first), and what is the least we take ----------
#     name             suites                   least
PACKAGES="
    linux-libc-dev     trixie-security,trixie   6.12
    liburing-dev       forky,trixie             2.9
    libipsec-mb-dev    forky,trixie             2.0
    liburcu-dev        forky,trixie             0.15
    libc-ares-dev      trixie-security,trixie   1.34.5"
SOURCES="
    wolfssl            sid,trixie               5.7.2-0.1+deb13u2
    ngtcp2             forky,sid                1.22.1
    libinih            forky,trixie             58"
WOLFSSL_WANTED=5.9.2 # below this, every build says so aloud

# Fat objects of ngtcp2 only: its code is small and inlines into ours; wolfSSL's gains 3 % and costs
# half a minute per link.
CFLAGS="-O2 -fPIC -ffunction-sections -fdata-sections -fstack-protector-strong"
NGTCP2_CFLAGS="$CFLAGS -flto=1 -ffat-lto-objects"
CPPFLAGS="-D_FORTIFY_SOURCE=2"
# WC_RNG_SEED_CB: the simulator brings its own randomness.  --enable-quic forgets aesecb, which
# ngtcp2's helper needs for header protection.  --disable-jobserver: else make runs on cores + 1.
WOLFSSL_CPPFLAGS="-DWC_RNG_SEED_CB -DWOLFSSL_QUIC_MAX_RECORD_CAPACITY=65536"
WOLFSSL_OPTIONS="--enable-static --disable-shared --disable-jobserver --disable-examples
    --disable-crypttests --disable-benchmark --disable-oldtls --disable-tlsv12 --enable-tls13
    --enable-quic --enable-earlydata --enable-session-ticket --enable-alpn --enable-sni
    --enable-ed25519 --enable-aesecb --enable-intelasm --enable-aesni --enable-sp --enable-sp-asm
    --enable-keygen --enable-certgen --enable-certext --enable-certreq"
NGTCP2_OPTIONS="--enable-static --disable-shared --enable-lib-only --with-wolfssl
    --without-openssl --without-gnutls --without-boringssl --without-picotls --without-jemalloc
    --without-libev --without-libnghttp3 --without-libbrotlienc --without-libbrotlidec"
# The packaged inih cuts lines at 200 bytes and says nothing.
INIH_SETTINGS="INI_MAX_LINE=8192 INI_ALLOW_MULTILINE=0"
LAYOUT=1 # raise it when the steps below change what a prefix holds

STEPS=8
step=0

say() {
    step=$((step + 1))
    printf '[%d/%d] %s\n' "$step" "$STEPS" "$*" >&2
}
note() { printf '      %s\n' "$*" >&2; }
die() {
    printf 'deps.sh: %s\n' "$*" >&2
    exit 1
}

# run NAME COMMAND...: quiet unless it fails; its output stays in the log folder until we are done.
# A terminal sees the seconds go by.
run() {
    local log="$work/log/$1" start=$SECONDS rc=0
    shift
    nice -n "${NICE:-0}" "$@" >"$log" 2>&1 &
    if [ -t 2 ]; then
        while kill -0 $! 2>/dev/null; do
            printf '\r      %d s ' $((SECONDS - start)) >&2
            sleep 1
        done
        printf '\r' >&2
    fi
    wait $! || rc=$?
    [ $rc = 0 ] || { tail -n 25 "$log" && echo "deps.sh: failed: $*"; } >&2
    return $rc
}

prefix_path() {
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    case $codename in
        bookworm | trixie) ;;
        *) die "Debian 12 or 13 is needed, this is '${codename:-unknown}'" ;;
    esac
    [ "$(dpkg --print-architecture)" = amd64 ] || die "only amd64 is known to work"
    local key
    key=$(printf '%s\n' "$codename" "$(gcc -dumpfullversion 2>/dev/null || true)" "$PACKAGES" \
        "$SOURCES" "$CPPFLAGS" "$CFLAGS" "$NGTCP2_CFLAGS" "$WOLFSSL_CPPFLAGS" "$WOLFSSL_OPTIONS" \
        "$NGTCP2_OPTIONS" "$INIH_SETTINGS" "$LAYOUT" | sha256sum)
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/qmux-uring/deps
    prefix=$cache/${key:0:16}
    case $cache in *[[:space:]]*) die "the cache folder may not have blanks in its name: $cache" ;; esac
}

install_tools() {
    "${BASH_SOURCE[0]%/*}/need.sh" gcc=gcc /usr/include/stdlib.h=libc6-dev make=make \
        autoreconf=autoconf automake=automake libtoolize=libtool pkg-config=pkg-config \
        dpkg-source=dpkg-dev objcopy=binutils xz=xz-utils flock=util-linux patch=patch
}

# ---- the private apt ----------------------------------------------------------------------------

# mirror_of SUITE: its address in the machine's own sources.  Never printed: it may hold a password.
mirror_of() {
    # shellcheck disable=SC2016 # apt's variables
    apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' | awk -v suite="$1" '$1 == suite && $2 == "main" { print $3; exit }'
}

# wanted_suites: all suites of both tables, once each.
wanted_suites() {
    printf '%s\n' "$PACKAGES" "$SOURCES" | awk 'NF { print $2 }' | tr , '\n' | sort -u
}

configure_apt() {
    mkdir -p "$apt"/{sources,state/lists/partial,cache/archives/partial}
    chmod 0700 "$apt/sources" # the mirror's address may hold a password
    : >"$apt/status"          # nothing installed: nothing conflicts
    cat >"$apt/apt.conf" <<END
// Read after the machine's own configuration, by our calls only.
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "$apt/state";
Dir::State::lists "$apt/state/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
Dir::Cache::pkgcache "$apt/cache/pkgcache.bin"; // container images switch it off: slow
Dir::Cache::srcpkgcache "$apt/cache/srcpkgcache.bin";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "";
APT::Get::List-Cleanup "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
END
    if [ "$allow_stale" = yes ]; then
        echo 'Acquire::Check-Valid-Until "false";' >>"$apt/apt.conf"
    fi
}

# add_suite SUITE: reads its index; a mirror that lacks it costs a word, a stale index ends us.
add_suite() {
    local machines=$codename uri
    case $1 in *-security) machines=$codename-security ;; esac
    uri=$(mirror_of "$machines")
    if [ -z "$uri" ]; then
        [ "$machines" = "$codename-security" ] || die "the machine's apt sources name no mirror for $machines"
        note "the machine's apt sources name no mirror for $machines: going on without it"
        return
    fi
    printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: amd64\nSigned-By: %s\nTargets: Packages Sources\n' \
        "$uri" "$1" /usr/share/keyrings/debian-archive-keyring.gpg >"$apt/sources/$1.sources"
    run "update-$1" apt-get -q -c "$apt/apt.conf" update -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::sourcelist="$apt/sources/$1.sources" 2>/dev/null && return
    rm "$apt/sources/$1.sources"
    if grep -q 'is expired\|not valid yet' "$work/log/update-$1"; then
        die "apt refuses the index of Debian $1 on your mirror, because it is too old.
  Either use a fresher mirror (the machine's apt sources name it), or run
      tools/deps.sh --allow-stale
  once, which takes the old index; signatures and least versions are still checked."
    fi
    note "Debian $1 is not to be had from this mirror: going on without it"
}

# offer INDEX NAME SUITE LEAST: the version of a package that a suite has, if it is enough.
# INDEX is Packages or Sources.
offer() {
    local version
    version=$(apt-cache -c "$apt/apt.conf" madison "$2" | awk -F ' *[|] *' -v name="$2" -v suite="$3/" \
        -v kind="$1" '{ gsub(/ /, "", $1) } $1 == name && index($3, " " suite) && $3 ~ kind "$" { print $2; exit }')
    if [ -n "$version" ] && dpkg --compare-versions "$version" ge "$4"; then echo "$version"; fi
}

# ---- packages ------------------------------------------------------------------------------------

# Archives of newer Debians call glibc 2.38's C23 names of strtol and friends, which bookworm's libc
# lacks.  Ours get the old names; all that is lost is "0b" numerals.
rename_c23() {
    local name
    if [ -n "$(nm /usr/lib/x86_64-linux-gnu/libc.a 2>/dev/null | awk '$3 == "__isoc23_strtol"')" ]; then return; fi
    for name in strtol strtoul strtoll strtoull strtoimax strtoumax sscanf fscanf vsscanf; do
        echo "__isoc23_$name $name"
    done >"$work/c23"
    for name in "$new"/lib/*.a; do objcopy --redefine-syms="$work/c23" "$name"; done
}

# take_package NAME SUITES LEAST: its headers and archives, from the first suite that delivers.
take_package() {
    local suite version tree=$work/tree/$1
    for suite in ${2//,/ }; do
        version=$(offer Packages "$1" "$suite" "$3")
        [ -n "$version" ] || continue
        (cd "$work/debs" && run "get-$1" apt-get -q -c "$apt/apt.conf" download "$1=$version") || continue
        dpkg-deb -x "$work/debs/$1"_*.deb "$tree"
        cp -RL "$tree"/usr/include/. "$new/include/" # the kernel's lead out of the folder
        find "$tree/usr/lib" -name '*.a' -exec cp {} "$new/lib/" \; 2>/dev/null || true
        echo "$1 $version $suite package" >>"$new/VERSIONS"
        note "$1 $version"
        return
    done
    die "$1 $3 or newer is not to be had from: ${2//,/ }"
}

take_packages() {
    local name suites least
    while read -r name suites least; do
        if [ -n "$name" ]; then take_package "$name" "$suites" "$least"; fi
    done <<<"$PACKAGES"
    # Headers of this machine's kind up one level; those of others, and C++, away.
    cp -R "$new"/include/x86_64-linux-gnu/. "$new/include/"
    rm -rf "$new"/include/*-linux-* "$new"/lib/liburing-ffi.a
    rename_c23
}

# ---- sources -------------------------------------------------------------------------------------

# take_source NAME: unpacks it to $work/src/NAME.  A mirror whose index is older than its pool has
# lost Debian's half of a source package; then upstream's tarball alone must do.
take_source() {
    local name suites least suite version how only=()
    read -r name suites least < <(awk -v name="$1" '$1 == name' <<<"$SOURCES")
    for suite in ${suites//,/ }; do
        version=$(offer Sources "$name" "$suite" "$least")
        [ -n "$version" ] || continue
        for how in patched tarball; do
            if [ $how = tarball ]; then only=(--tar-only); else only=(); fi
            rm -rf "$work/debs/$name" && mkdir "$work/debs/$name"
            (cd "$work/debs/$name" && run "source-$name" apt-get -q -c "$apt/apt.conf" source \
                --download-only "${only[@]}" "$name=$version") 2>/dev/null || continue
            unpack_source "$name" $how
            echo "$name $version $suite $how" >>"$new/VERSIONS"
            note "$name $version, $how"
            return
        done
    done
    die "$name $least or newer is not to be had as source from: ${suites//,/ }"
}
unpack_source() {
    if [ "$2" = patched ]; then
        run "unpack-$1" dpkg-source --no-check -x "$work/debs/$1/$1"_*.dsc "$work/src/$1"
    else
        mkdir -p "$work/src/$1"
        tar -C "$work/src/$1" --strip-components=1 -xf \
            "$(find "$work/debs/$1" -name "$1_*.orig.tar.*" ! -name '*.asc')"
    fi
}

# configure_and_make NAME OPTIONS...: in its source folder, installed into the new prefix.
configure_and_make() {
    local name=$1
    shift
    run "$name-configure" ./configure --prefix="$new" --libdir="$new/lib" "$@"
    run "$name-make" make -j"${JOBS:-$(nproc)}"
    run "$name-install" make install
}

build_wolfssl() {
    local options cpp="$CPPFLAGS $WOLFSSL_CPPFLAGS"
    cd "$work/src/wolfssl"
    run wolfssl-autogen sh ./autogen.sh
    read -r -d '' -a options <<<"$WOLFSSL_OPTIONS" || true
    if ! ./configure --help | grep -e --enable-aesecb >/dev/null; then # 5.7 has it by define only
        options=("${options[@]/--enable-aesecb/}")
        cpp+=" -DHAVE_AES_ECB"
    fi
    configure_and_make wolfssl "${options[@]}" CFLAGS="$CFLAGS -ffile-prefix-map=$work/src=." CPPFLAGS="$cpp"
    # Every -D of its build stands in options.h; this one is not for us.
    sed -i '/_FORTIFY_SOURCE/d' "$new/include/wolfssl/options.h"
}

build_ngtcp2() {
    local options
    cd "$work/src/ngtcp2"
    if [ ! -x configure ]; then run ngtcp2-autoreconf autoreconf -fi; fi
    read -r -d '' -a options <<<"$NGTCP2_OPTIONS" || true
    configure_and_make ngtcp2 "${options[@]}" \
        CFLAGS="$NGTCP2_CFLAGS -ffile-prefix-map=$work/src=." CPPFLAGS="$CPPFLAGS" \
        WOLFSSL_CFLAGS="-I$new/include" WOLFSSL_LIBS="-L$new/lib -lwolfssl -lm -lpthread"
}

# One file, built with our settings, which its header repeats for whoever includes it.
build_inih() {
    local setting
    cd "$work/src/libinih"
    for setting in $INIH_SETTINGS; do sed -i "1i #define ${setting/=/ }" ini.h; done
    cp ini.h "$new/include/"
    # shellcheck disable=SC2086 # words
    run inih-compile gcc $CFLAGS $CPPFLAGS -c ini.c
    run inih-archive ar rcs "$new/lib/libinih.a" ini.o
}

# ---- the whole ------------------------------------------------------------------------------------

# Every archive in one static-pie: what is missing shows here, not in a user's build.
check_prefix() {
    cat >"$work/all.c" <<'END'
#include <ares.h>
#include <ini.h>
#include <intel-ipsec-mb.h>
#include <liburing.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto_wolfssl.h>
#include <urcu-qsbr.h>
int main(void)
{
    struct io_uring ring;

    urcu_qsbr_register_thread();
    return io_uring_queue_init(2, &ring, 0) > 0 || ini_parse_string("", 0, 0) ||
           ngtcp2_crypto_wolfssl_configure_client_context(
               wolfSSL_CTX_new(wolfTLSv1_3_client_method())) ||
           !ngtcp2_version(0) || !ares_version(0) || !imb_get_version_str();
}
END
    run check-link gcc -D_GNU_SOURCE -isystem "$new/include" -O1 -fPIE -static-pie -Wl,-z,text \
        "$work/all.c" -o "$work/all" -L"$new/lib" -Wl,--gc-sections -lngtcp2_crypto_wolfssl -lngtcp2 \
        -lwolfssl -luring -linih -lcares -lurcu-qsbr -lurcu-common -lIPSec_MB -lm -lpthread
    run check-run "$work/all"
}

warn_of_old_wolfssl() {
    local version
    version=$(awk '$1 == "wolfssl" { print $2 }' "$prefix/VERSIONS")
    if dpkg --compare-versions "$version" lt "$WOLFSSL_WANTED"; then
        printf '\n  WARNING: wolfSSL %s is older than %s, the oldest that should meet the internet.\n\n' \
            "$version" "$WOLFSSL_WANTED" >&2
    fi
}

prepare() {
    say "build tools"
    install_tools
    say "package indexes of Debian $(wanted_suites | tr '\n' ' ')(about 15 seconds)"
    configure_apt
    for suite in $(wanted_suites); do add_suite "$suite"; done
    say "libraries that Debian has as we want them"
    take_packages
    say "wolfSSL: source"
    take_source wolfssl
    say "wolfSSL: compiling (about a minute)"
    build_wolfssl
    say "ngtcp2: source and compiling (about 20 seconds)"
    take_source ngtcp2
    build_ngtcp2
    say "inih: source and compiling"
    take_source libinih
    build_inih
    say "checking that they link into one static program"
    check_prefix
    rm -rf "${new:?}"/{bin,share} "$new"/lib/{pkgconfig,cmake} "$new"/lib/*.la
}

print_only=no allow_stale=no refresh=no
for argument in "$@"; do
    case $argument in
        --print) print_only=yes ;;
        --allow-stale) allow_stale=yes ;;
        --refresh) refresh=yes ;;
        *) sed -n '2,/^set/{/^#/!d;s/^# \?//p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done
command -v gcc >/dev/null || [ $print_only = yes ] || install_tools # its version is in the prefix's name
prefix_path
if [ $print_only = no ] && { [ ! -e "$prefix/VERSIONS" ] || [ $refresh = yes ]; }; then
    install_tools
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -n 9 || { echo "another run prepares the libraries: waiting for it" >&2; flock 9; }
    if [ ! -e "$prefix/VERSIONS" ] || [ $refresh = yes ]; then
        work=$(mktemp -d "$cache/.building.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        new=$work/prefix apt=$work/apt
        mkdir -p "$new"/{include,lib} "$work"/{log,debs,tree,src}
        prepare
        rm -rf "$prefix"
        mv "$new" "$prefix"
        note "ready after $SECONDS s"
    fi
fi
if [ -e "$prefix/VERSIONS" ]; then warn_of_old_wolfssl; fi
echo "$prefix"
