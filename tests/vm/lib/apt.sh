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

# debian_sources SUFFIX...: one-line sources of the release this machine runs, its updates and security
# suites, and of its further suites named by suffix (backports), which live on the mirror of the release.
# shellcheck disable=SC2120 # The arguments are optional.
debian_sources()
{
	debian_sources_of "$(debian_release)" "$@"
}

# debian_sources_of RELEASE SUFFIX...: the same of another release, from the mirrors of this one.
debian_sources_of()
{
	local release=$1 options='' indexes

	shift
	indexes=$(fetched_indexes)
	if [[ -z $indexes ]]; then
		apt-get update >&2
		indexes=$(fetched_indexes)
	fi
	[[ -f $debian_keyring ]] && options="[signed-by=$debian_keyring] "

	awk -v here="$(debian_release)" -v release="$release" -v options="$options" -v suffixes="$*" '
		function source(uri, suite, component) {
			print "deb " options uri " " suite " " component
		}
		$2 == here || $2 == here "-updates" || $2 == here "-security" {
			source($1, release substr($2, length(here) + 1), $3)
		}
		$2 == here && $3 == "main" && !mirror { mirror = $1 }
		END {
			count = split(suffixes, wanted, " ")
			for (i = 1; i <= count; i++)
				source(mirror, release "-" wanted[i], "main")
			exit !mirror
		}' <<<"$indexes"
}

# apt_of RELEASE DIRECTORY COMMAND...: apt-get or apt-cache for another release, with lists of its own in the
# directory, so that the machine's apt stays as it is. It sees no package as installed.
apt_of()
{
	local release=$1 directory=$2 command=$3

	shift 3
	mkdir -p "$directory/lists/partial" "$directory/archives/partial"
	if [[ ! -f $directory/sources.list ]]; then
		debian_sources_of "$release" backports >"$directory/sources.list"
	fi
	"$command" -o "Dir::Etc::SourceList=$directory/sources.list" -o Dir::Etc::SourceParts=- \
		-o "Dir::State::Lists=$directory/lists" -o "Dir::Cache=$directory" \
		-o Dir::State::status=/dev/null -o APT::Sandbox::User=root "$@"
}
