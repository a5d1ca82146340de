# Installs Debian packages. Sourced by what needs them.

# install_packages NAME...: those that are not there yet, as root, without starting any service.
install_packages() {
    local missing=() package policy=/usr/sbin/policy-rc.d made=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || { echo "as root: apt-get install ${missing[*]}" >&2; return 1; }
    if [ ! -e "$policy" ]; then
        # Exit status 101 tells the packages' scripts not to start their services.
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=yes
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
    local status=$?
    [ -z "$made" ] || rm -f "$policy"
    return $status
}
