# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Where this machine gets Debian packages from.
#
# No mirror is named in this project: the ones the machine is configured with are asked for through apt
# itself, so both formats of source files work, and third-party sources are left out.

# Signatures are checked with Debian's own key ring where it is installed, else with all keys apt trusts.
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_release: the code name of the Debian release this machine runs.
debian_release()
{
	# shellcheck source=/dev/null
	(. /etc/os-release && echo "$VERSION_CODENAME")
}

# Prints "uri codename component" for each package index apt has fetched.
fetched_indexes()
{
	# shellcheck disable=SC2016 # apt expands this, not the shell.
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' | sort -u
}

# debian_sources SUFFIX...: one-line sources of the release, its updates and security suites, and of
# its further suites named by suffix (backports), which live on the mirror of the release.
# shellcheck disable=SC2120 # The arguments are optional.
debian_sources()
{
	local release options='' indexes

	release=$(debian_release)
	indexes=$(fetched_indexes)
	if [[ -z $indexes ]]; then
		apt-get update >&2
		indexes=$(fetched_indexes)
	fi
	[[ -f $debian_keyring ]] && options="[signed-by=$debian_keyring] "

	awk -v release="$release" -v options="$options" -v suffixes="$*" '
		function source(uri, suite, component) {
			print "deb " options uri " " suite " " component
		}
		$2 == release || $2 == release "-updates" || $2 == release "-security" {
			source($1, $2, $3)
		}
		$2 == release && $3 == "main" && !mirror { mirror = $1 }
		END {
			count = split(suffixes, wanted, " ")
			for (i = 1; i <= count; i++)
				source(mirror, release "-" wanted[i], "main")
			exit !mirror
		}' <<<"$indexes"
}
