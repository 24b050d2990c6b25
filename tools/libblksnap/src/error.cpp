// SPDX-License-Identifier: GPL-2.0
//
// Error: composing the one line that a person reads.
#include <blksnap/error.hpp>

#include <array>
#include <cerrno>
#include <system_error>

namespace blksnap
{

namespace
{

std::string compose(std::string_view what, std::string_view subject, std::string_view why,
		    std::string_view remedy)
{
	std::string line{what};
	if (!subject.empty())
		line.append(" ").append(subject);
	line.append(": ").append(why);
	if (!remedy.empty())
		line.append("; ").append(remedy);
	return line;
}

std::string_view general_remedy(int code)
{
	switch (code) {
	case EPERM:
	case EACCES:
		return "run it as root";
	case ENOTTY:
		return "the loaded module does not know this request: update it";
	case ENOENT:
	case ENXIO:
		return "check the name with lsblk";
	case ENOMEM:
		return "free some memory and try again";
	default:
		return "see the kernel log with dmesg";
	}
}

constexpr std::string_view kFreeSpace = "free some space there, or use another directory";
constexpr std::string_view kCheckPath = "check the path";

constexpr std::array kFile{
	KnownFailure{ENOSPC, "No space left on device", kFreeSpace},
	KnownFailure{EDQUOT, "Disk quota exceeded", kFreeSpace},
	KnownFailure{EFBIG, "File too large", "use another file system, or give several files"},
	KnownFailure{ENOENT, "No such file or directory", kCheckPath},
	KnownFailure{ENOTDIR, "Not a directory", kCheckPath},
	KnownFailure{EISDIR, "Is a directory", "name a file"},
	KnownFailure{EROFS, "Read-only file system", "use another directory"},
	KnownFailure{EOPNOTSUPP, "Operation not supported", "use a file on ext4 or xfs"},
};

} // namespace

constinit const std::span<const KnownFailure> kFileFailures{kFile};

Error::Error(int code, std::string_view what, std::string_view subject, std::string_view why,
	     std::string_view remedy)
	: std::runtime_error{compose(what, subject, why, remedy)}, code_{code}
{
}

void fail(int code, std::string_view what, std::string_view subject,
	  std::span<const KnownFailure> known)
{
	for (const auto &failure : known)
		if (failure.code == code)
			throw Error{code, what, subject, failure.why, failure.remedy};
	throw Error{code, what, subject, std::generic_category().message(code),
		    general_remedy(code)};
}

} // namespace blksnap
