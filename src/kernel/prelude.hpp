// SPDX-License-Identifier: GPL-2.0
//
// Prelude: read before everything else in each C++ object of the module.
//
// Makes libstdc++ of a hosted compiler behave as a freestanding one: no header of libc, no
// threads, no futexes. <utility>, <new>, <type_traits>, <bit> and the like work; containers,
// <memory> and <iterator> do not.
#define _GLIBCXX_OS_DEFINES 1 // <bits/os_defines.h> would include libc's <features.h>
#include <bits/c++config.h>
#undef _GLIBCXX_HAS_GTHREADS
#undef _GLIBCXX_HAVE_LINUX_FUTEX
#if _GLIBCXX_RELEASE < 13
#include <bit> // a freestanding <bit> clashes with <ext/numeric_traits.h> in gcc 12
#endif
#undef _GLIBCXX_HOSTED
#define _GLIBCXX_HOSTED 0
