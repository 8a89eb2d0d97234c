"""The model of a preset in PyTorch, trained as `train` trains it: what compare.sh times Folio against.

Same shapes and the same work per step: window batches, forward, cross-entropy, backward, clipping by global norm, AdamW
and the router bias (no balance loss). Each expert sees its own rows only. Prints one line of JSON: parameters,
tokens per second of every window of steps, and the last loss.
"""

import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

PRESETS = {
    "tiny": dict(width=64, layers=2, heads=2, q_rank=32, kv_rank=32, nope=16, rotary=16, value=32, shared=1, routed=4,
                 active=2, inner=64, context=64, batch=8, vocabulary=65, tied=True),
    "shakespeare-char": dict(width=384, layers=6, heads=6, q_rank=128, kv_rank=128, nope=32, rotary=32, value=64,
                             shared=1, routed=8, active=2, inner=256, context=256, batch=16, vocabulary=65, tied=True),
    "deepseek-shakespeare-v3": dict(width=576, layers=30, heads=9, q_rank=128, kv_rank=128, nope=32, rotary=32,
                                    value=64, shared=2, routed=8, active=2, inner=384, context=256, batch=4,
                                    vocabulary=49152, tied=False),
}


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-6)
        inverse = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
        return x * inverse.to(x.dtype) * self.weight


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def rotate(x, cosine, sine):
    """x (B, H, T, R), channels 2i and 2i + 1 one pair; cosine and sine (T, R/2)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2).to(x.dtype)


def attend(q, k, v):
    """Causal attention of (B, H, T, ·); PyTorch before 2.0 has no fused one."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    hidden = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    return scores.masked_fill(hidden, -math.inf).softmax(-1) @ v


class Attention(nn.Module):
    """Multi-head latent attention with one rotary key for all heads."""

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.q_a = linear(p["width"], p["q_rank"])
        self.q_norm = RMSNorm(p["q_rank"])
        self.q_b = linear(p["q_rank"], p["heads"] * (p["nope"] + p["rotary"]))
        self.kv_a = linear(p["width"], p["kv_rank"] + p["rotary"])
        self.kv_norm = RMSNorm(p["kv_rank"])
        self.kv_b = linear(p["kv_rank"], p["heads"] * (p["nope"] + p["value"]))
        self.o = linear(p["heads"] * p["value"], p["width"])

    def forward(self, x, cosine, sine):
        p = self.p
        batch, length, _ = x.shape
        by_head = (batch, length, p["heads"], -1)
        q = self.q_b(self.q_norm(self.q_a(x))).view(by_head).transpose(1, 2)
        latent, k_pe = self.kv_a(x).split((p["kv_rank"], p["rotary"]), -1)
        kv = self.kv_b(self.kv_norm(latent)).view(by_head).transpose(1, 2)
        q_nope, q_pe = q.split((p["nope"], p["rotary"]), -1)
        k_nope, v = kv.split((p["nope"], p["value"]), -1)
        k_pe = rotate(k_pe.unsqueeze(1), cosine, sine).expand(-1, p["heads"], -1, -1)
        y = attend(torch.cat((q_nope, rotate(q_pe, cosine, sine)), -1), torch.cat((k_nope, k_pe), -1), v)
        return self.o(y.transpose(1, 2).reshape(batch, length, -1))


class SwiGLU(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.gate_up = linear(width, 2 * inner)
        self.down = linear(inner, width)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Experts(nn.Module):
    """Shared experts, and the chosen ones of the routed: sigmoid scores, a bias that only selects, weights that sum to 1."""

    def __init__(self, p):
        super().__init__()
        self.active = p["active"]
        self.router = linear(p["width"], p["routed"])
        self.routed = nn.ModuleList(SwiGLU(p["width"], p["inner"]) for _ in range(p["routed"]))
        self.shared = SwiGLU(p["width"], p["shared"] * p["inner"])
        self.register_buffer("bias", torch.zeros(p["routed"]))
        self.loads = torch.zeros(p["routed"])

    def forward(self, x):
        rows = x.flatten(0, 1)
        scores = self.router(rows).float().sigmoid()
        chosen = (scores.detach() + self.bias).topk(self.active, -1).indices
        weights = scores.gather(1, chosen)
        weights = (weights / weights.sum(-1, keepdim=True)).to(rows.dtype)
        expert, order = chosen.flatten().sort(stable=True)
        counts = torch.bincount(expert, minlength=len(self.routed))
        self.loads = counts.float()
        token = order // self.active
        dealt = rows[token].split(counts.tolist())
        made = torch.cat([f(mine) for f, mine in zip(self.routed, dealt)])
        weighed = made * weights.flatten()[order].unsqueeze(-1)
        y = self.shared(rows)
        return y.index_add(0, token, weighed.to(y.dtype)).view_as(x)

    def update_bias(self):
        self.bias += 1e-3 * torch.sign(self.loads.mean() - self.loads)


class Layer(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(p["width"]), Attention(p)
        self.expert_norm, self.experts = RMSNorm(p["width"]), Experts(p)

    def forward(self, x, cosine, sine):
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        return x + self.experts(self.expert_norm(x))


class Model(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.embedding = nn.Embedding(p["vocabulary"], p["width"])
        self.layers = nn.ModuleList(Layer(p) for _ in range(p["layers"]))
        self.norm = RMSNorm(p["width"])
        self.head = linear(p["width"], p["vocabulary"])
        if p["tied"]:
            self.head.weight = self.embedding.weight
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)
        speeds = 10000.0 ** (-torch.arange(0, p["rotary"], 2) / p["rotary"])
        angles = torch.arange(p["context"])[:, None] * speeds
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, ids, targets):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


class Training:
    def __init__(self, p, arguments):
        self.p, self.bf16 = p, arguments.dtype == "bf16"
        text = open(arguments.data, encoding="utf-8").read()
        known = {character: i for i, character in enumerate(sorted(set(text)))}
        tokens = torch.tensor([known[character] for character in text])
        self.tokens = tokens[: len(tokens) * 9 // 10]
        self.device = arguments.device
        self.model = Model(p).to(self.device)
        decayed = [w for name, w in self.model.named_parameters() if w.dim() > 1 and name != "embedding.weight"]
        others = [w for name, w in self.model.named_parameters() if w.dim() == 1 or name == "embedding.weight"]
        groups = [dict(params=decayed, weight_decay=0.1), dict(params=others, weight_decay=0.0)]
        self.optimizer = torch.optim.AdamW(groups, lr=3e-4, betas=(0.9, 0.95))
        self.loss_of = torch.compile(self.model) if arguments.compile else self.model

    def step(self):
        p = self.p
        starts = torch.randint(len(self.tokens) - p["context"], (p["batch"],))
        windows = torch.stack([self.tokens[at : at + p["context"] + 1] for at in starts.tolist()]).to(self.device)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16):
            loss = self.loss_of(windows[:, :-1], windows[:, 1:])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for layer in self.model.layers:
                layer.experts.update_bias()
        return loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="shakespeare-char")
    parser.add_argument("--data", required=True, help="the text")
    parser.add_argument("--batch", type=int, help="windows per step; the preset's if not given")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="per window")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    p = dict(PRESETS[arguments.preset])
    p["batch"] = arguments.batch or p["batch"]
    training = Training(p, arguments)
    for _ in range(10 if arguments.compile else 3):  # it compiles again for other loads of the experts
        training.step()
    rates = []
    for _ in range(arguments.windows):
        began = time.perf_counter()
        for _ in range(arguments.steps):
            loss = training.step()
        rates.append(arguments.steps * p["batch"] * p["context"] / (time.perf_counter() - began))
    total = sum(weight.numel() for weight in training.model.parameters())
    idle = p["layers"] * (p["routed"] - p["active"]) * 3 * p["width"] * p["inner"]
    print(json.dumps(dict(torch=torch.__version__, total=total, active=total - idle, tokens_per_s=rates, loss=loss)))


if __name__ == "__main__":
    main()
