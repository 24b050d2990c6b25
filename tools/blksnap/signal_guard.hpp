// SPDX-License-Identifier: GPL-2.0
//
// SignalGuard: SIGINT and SIGTERM wake a blocking call instead of ending the program.
#ifndef BLKSNAP_SIGNAL_GUARD_HPP
#define BLKSNAP_SIGNAL_GUARD_HPP

#include <csignal>

namespace blksnap::command
{

// The first such signal interrupts; the second ends the program as usual.
class SignalGuard final
{
public:
	SignalGuard()
	{
		struct sigaction action {
		};
		action.sa_handler = [](int) {};
		action.sa_flags = static_cast<int>(SA_RESETHAND);
		sigaction(SIGINT, &action, &old_interrupt_);
		sigaction(SIGTERM, &action, &old_terminate_);
	}

	SignalGuard(const SignalGuard &) = delete;
	SignalGuard &operator=(const SignalGuard &) = delete;

	~SignalGuard()
	{
		sigaction(SIGINT, &old_interrupt_, nullptr);
		sigaction(SIGTERM, &old_terminate_, nullptr);
	}

private:
	struct sigaction old_interrupt_ {
	};
	struct sigaction old_terminate_ {
	};
};

} // namespace blksnap::command

#endif
