#pragma once
// All of nn: layers, DeepSeek's attention, experts and language model, sampling.
#include "nn/deepseek_lm.hpp"
#include "nn/sampling.hpp"
