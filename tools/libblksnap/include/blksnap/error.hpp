// SPDX-License-Identifier: GPL-2.0
//
// Error: what could not be done, to whom, why, and what a person can do about it.
//
// The library throws it wherever a request fails; the C interface turns it into a number and a
// text.
#ifndef BLKSNAP_ERROR_HPP
#define BLKSNAP_ERROR_HPP

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace blksnap
{

// The meaning of one errno for one request: the table of the interface in words.
struct KnownFailure {
	int code;
	std::string_view why;
	std::string_view remedy;
};

// What files meet, in words: for fail().
extern const std::span<const KnownFailure> kFileFailures;

class Error final : public std::runtime_error
{
public:
	// @code: positive errno
	// @what: what could not be done, as in "cannot take snapshot"
	// @subject: the device, file or snapshot meant; may be empty
	// @remedy: what to do, without a full stop; may be empty
	Error(int code, std::string_view what, std::string_view subject, std::string_view why,
	      std::string_view remedy);

	int code() const noexcept { return code_; }

private:
	int code_;
};

// Throws the Error for @code, with the words of @known where they have it and those of the C
// library where not.
[[noreturn]] void fail(int code, std::string_view what, std::string_view subject,
		       std::span<const KnownFailure> known = {});

} // namespace blksnap

#endif
