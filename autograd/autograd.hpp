#pragma once
// All of autograd: tensors, the tape, ops and the gradient checker.
#include "autograd/device_copy.hpp"
#include "autograd/gradcheck.hpp"
#include "autograd/host_copy.hpp"
#include "autograd/ops.hpp"
#include "autograd/profile.hpp"
#include "autograd/random.hpp"
#include "autograd/settings.hpp"
#include "autograd/tape.hpp"
#include "autograd/tensor.hpp"
#include "autograd/threads.hpp"
