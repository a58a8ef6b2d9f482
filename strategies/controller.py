"""The hierarchical controller: a distribution over architectures that is learnt (HNAS, section II-C)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from strategies.budget import AffordableChoices
from strategies.layout import NETWORK_LEVEL, Decision, SpaceLayout


class LevelSums(NamedTuple):
    """Sums over one level's decisions, each of shape (n,), in nats."""

    log_prob: Tensor
    entropy: Tensor


@dataclass(frozen=True)
class Decisions:
    """A batch of n architectures under a policy, one column for each of D decisions.

    Parameters
    ----------
    choices
        Candidate indices, int64 of shape (n, D).
    log_probs
        Log-probability of each choice given the choices before it, shape (n, D).
    entropies
        Entropy of the distribution each choice was drawn from, in nats, shape (n, D).
    columns
        The columns of each level by its name.
    """

    choices: Tensor
    log_probs: Tensor
    entropies: Tensor
    columns: Mapping[str, slice]

    def by_level(self) -> dict[str, LevelSums]:
        """Return each level's summed log-probability and entropy: cells by name, then ``"network"``."""
        return {
            name: LevelSums(self.log_probs[:, columns].sum(1), self.entropies[:, columns].sum(1))
            for name, columns in self.columns.items()
        }


class HierarchicalController(nn.Module):
    """One LSTM for each cell, and one for the network level that depends on the cells.

    A cell's LSTM makes its decisions one after another. An input pick is attention over the earlier nodes,
    ``v^T tanh(W1 e + W2 h)``; any other decision is linear in the hidden state h. What was picked is embedded
    and fed to the next step. A cell's input nodes have learnt embeddings e; that of an intermediate node is
    the hidden state after the node's last decision. The network level's LSTM starts from the concatenation of
    the cells' last hidden states, its first input, so that its decisions (HNAS: the position of the
    upsampling cell) depend on the cells; all LSTMs have the same hidden size, as in the paper.

    Parameters
    ----------
    layout
        What is to be decided.
    hidden_size
        Width of the LSTMs; the paper's is 100.
    conditioned
        False is the paper's ablation: the network level starts from a learnt vector, independent of the
        cells.
    temperature
        Divides all logits; above 1 the policy is closer to uniform (ENAS uses 5). None for no scaling.
    tanh_constant
        Bounds all logits by ``tanh_constant * tanh(logits)`` so that no candidate ever dies out (ENAS uses
        2.5). None for no bound.
    affordable
        What a budget leaves of the space. Candidates that can't be afforded any more are masked while the controller
        decides; log-probabilities and entropies are those of the masked distributions. None for no budget.

    Raises
    ------
    ValueError
        If `hidden_size`, `temperature` or `tanh_constant` is not positive.

    References
    ----------
    Guo et al., "Hierarchical Neural Architecture Search for Single Image Super-Resolution", IEEE SPL 2020,
    arXiv:2003.04619, section II-C. Pham et al., "Efficient Neural Architecture Search via Parameter Sharing",
    ICML 2018, arXiv:1802.03268, for temperature, tanh constant and initialisation.
    """

    def __init__(
        self,
        layout: SpaceLayout,
        *,
        hidden_size: int = 100,
        conditioned: bool = True,
        temperature: float | None = None,
        tanh_constant: float | None = None,
        affordable: AffordableChoices | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("hidden_size", hidden_size),
            ("temperature", temperature),
            ("tanh_constant", tanh_constant),
        ):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: {value!r} is not valid; give a positive number")
        self.layout = layout
        self.hidden_size = hidden_size
        self.conditioned = conditioned and bool(layout.cells)
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        self.affordable = affordable
        # A list, not a ModuleDict: cell names are the user's and may hold dots.
        self.cells = nn.ModuleList(_LevelLSTM(cell.decisions, hidden_size, hidden_size) for cell in layout.cells)
        self.cell_starts = nn.ParameterList(torch.empty(hidden_size) for _ in layout.cells)
        self.network: _LevelLSTM | None = None
        if layout.network:
            input_size = hidden_size * max(1, len(layout.cells))
            self.network = _LevelLSTM(layout.network, hidden_size, input_size)
            if not self.conditioned:
                self.network_start = nn.Parameter(torch.empty(input_size))
        self._initialize()

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return next(self.parameters()).device

    def settings(self) -> dict[str, Any]:
        """Return the constructor's settings; a saved state fits only a controller with the same."""
        return {
            "hidden_size": self.hidden_size,
            "conditioned": self.conditioned,
            "temperature": self.temperature,
            "tanh_constant": self.tanh_constant,
            "budget": "none" if self.affordable is None else str(self.affordable.budget),
        }

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, *, flatten: float = 1.0) -> Decisions:
        """Draw `n` architectures at once; carries no gradient, :meth:`score` does.

        Parameters
        ----------
        n
            How many.
        generator
            Source of randomness; torch's global one if None. It may live on another device than the
            controller.
        flatten
            Above 1, draw each decision from its probabilities to the power of ``1 / flatten``, more evenly than
            the policy; the log-probabilities and entropies are those of that distribution.

        Raises
        ------
        ValueError
            If `n` is below 1 or `flatten` not above 0.
        """
        if n < 1:
            raise ValueError(f"n: {n!r} is not valid; draw at least one architecture")
        if not flatten > 0:
            raise ValueError(f"flatten: {flatten!r} is not valid; give a number above 0")
        return self._run(n, None, generator, flatten)[0]

    def score(self, choices: Tensor) -> Decisions:
        """Return log-probabilities and entropies of given architectures under today's policy, with gradient.

        Parameters
        ----------
        choices
            Candidate indices of shape (n, D).

        Raises
        ------
        ValueError
            If the shape is wrong or an index is out of range; the message names the label.
        """
        return self._run(len(choices), self._checked(choices), None)[0]

    @torch.no_grad()
    def probabilities(self, choices: Tensor) -> dict[str, Tensor]:
        """Return the distribution of every decision given the choices before it, label -> (n, candidates)."""
        log_probabilities = self._run(len(choices), self._checked(choices), None)[1]
        return {
            decision.label: row.exp() for decision, row in zip(self.layout.decisions, log_probabilities, strict=True)
        }

    def network_probabilities(self, choices: Tensor) -> dict[str, Tensor]:
        """Return the distributions of the network-level decisions given the cells in `choices`.

        For HNAS: ``network_probabilities(choices)["upsample_position"]`` is of shape (n, L).
        """
        probabilities = self.probabilities(choices)
        return {decision.label: probabilities[decision.label] for decision in self.layout.network}

    def encode(self, samples: Sequence[Mapping[str, Any]]) -> Tensor:
        """Return the choices (n, D) of samples, label -> value; see :meth:`SpaceLayout.encode`."""
        rows = [self.layout.encode(sample) for sample in samples]
        return torch.tensor(rows, dtype=torch.int64, device=self.device).reshape(len(rows), len(self.layout.decisions))

    def decode(self, choices: Tensor) -> list[dict[str, Any]]:
        """Return the samples, label -> value, that `choices` (n, D) stand for."""
        return [self.layout.decode(row) for row in self._checked(choices).tolist()]

    def _initialize(self) -> None:
        # Weights as in ENAS, +-0.1 for 100 hidden units: the first policy is close to uniform. Its +-0.1 for
        # embeddings hardly moves the hidden state, so that the position learns late, or at high learning
        # rates never, to follow the cells: +-1 needs half the updates.
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.uniform_(module.weight, -1, 1)

    def _checked(self, choices: Tensor) -> Tensor:
        decisions = self.layout.decisions
        if choices.ndim != 2 or choices.shape[1] != len(decisions):
            raise ValueError(f"choices: shape {tuple(choices.shape)} is not valid; expected (n, {len(decisions)})")
        choices = choices.to(self.device, torch.int64)
        sizes = torch.tensor([len(decision.values) for decision in decisions], device=self.device)
        if bool(((choices < 0) | (choices >= sizes)).any()):
            for row in choices.tolist():
                self.layout.decode(row)
        return choices

    def _run(
        self, n: int, choices: Tensor | None, generator: torch.Generator | None, flatten: float = 1.0
    ) -> tuple[Decisions, list[Tensor]]:
        """Walk through all levels; teacher-forced where `choices` are given."""
        columns = self.layout.columns()

        masks = None if self.affordable is None else _Masks(self.affordable, n)

        def shape(logits: Tensor) -> Tensor:
            shaped = self._shape(logits) / flatten
            return shaped if masks is None else masks.apply(shaped)

        def run(level: nn.Module, name: str, start: Tensor) -> Tensor:
            given = None if choices is None else choices[:, columns[name]]
            picked, log_probabilities, hidden = level(start, given, generator, shape, masks)
            all_picked.extend(picked)
            all_log_probabilities.extend(log_probabilities)
            return hidden

        all_picked: list[Tensor] = []
        all_log_probabilities: list[Tensor] = []
        hidden = [
            run(level, cell.name, start.expand(n, -1))
            for level, cell, start in zip(self.cells, self.layout.cells, self.cell_starts, strict=True)
        ]
        if self.network is not None:
            start = torch.cat(hidden, 1) if self.conditioned else self.network_start.expand(n, -1)
            run(self.network, NETWORK_LEVEL, start)
        decisions = Decisions(
            choices=torch.stack(all_picked, 1),
            log_probs=torch.stack(
                [
                    row.gather(1, picked[:, None])[:, 0]
                    for row, picked in zip(all_log_probabilities, all_picked, strict=True)
                ],
                1,
            ),
            # Of a masked candidate 0 * log 0 is 0.
            entropies=torch.stack(
                [-(row.exp() * row.masked_fill(row.isneginf(), 0)).sum(1) for row in all_log_probabilities], 1
            ),
            columns=columns,
        )
        return decisions, all_log_probabilities

    def _shape(self, logits: Tensor) -> Tensor:
        if self.temperature is not None:
            logits = logits / self.temperature
        if self.tanh_constant is not None:
            logits = self.tanh_constant * torch.tanh(logits)
        return logits


class _Masks:
    """Which candidates a budget leaves while n architectures are decided side by side."""

    def __init__(self, affordable: AffordableChoices, n: int) -> None:
        self._affordable = affordable
        self._state = affordable.start(n)
        self._picked: list[Tensor] = []

    def apply(self, logits: Tensor) -> Tensor:
        """Return the logits (n, k) of the next decision with those of no affordable candidate at minus infinity.

        An architecture that is above the budget already has its probability of 0; what it decides then is not masked.
        """
        allowed = self._affordable.allowed(self._state, len(self._picked), self._picked)
        allowed = allowed | ~allowed.any(1, keepdim=True)
        return logits.masked_fill(~allowed.to(logits.device), -torch.inf)

    def advance(self, pick: Tensor) -> None:
        """Go on to the next decision."""
        pick = pick.cpu()
        self._state = self._affordable.advance(self._state, len(self._picked), self._picked, pick)
        self._picked.append(pick)


class _LevelLSTM(nn.Module):
    """One level's LSTM with the embeddings and heads of its decisions."""

    def __init__(self, decisions: tuple[Decision, ...], hidden_size: int, input_size: int) -> None:
        super().__init__()
        self.decisions = decisions
        self.lstm = nn.LSTMCell(input_size, hidden_size)
        # Operations of one cell share head and embeddings, as in ENAS: the LSTM's state tells the edges
        # apart.
        self.head_of: list[int] = []
        heads: dict[str, int] = {}
        sizes: list[int] = []
        for decision in decisions:
            key = decision.label if decision.node is None else repr(decision.values)
            if decision.kind == "operation" and key not in heads:
                heads[key] = len(sizes)
                sizes.append(len(decision.values))
            self.head_of.append(heads.get(key, -1))
        self.heads = nn.ModuleList(nn.Linear(hidden_size, size) for size in sizes)
        self.embeddings = nn.ModuleList(nn.Embedding(size, input_size) for size in sizes)
        self.input_nodes = _input_nodes(decisions)
        if any(decision.kind == "input" for decision in decisions):
            self.node_embeddings = nn.Embedding(len(self.input_nodes), hidden_size)
            self.key = nn.Linear(hidden_size, hidden_size, bias=False)
            self.query = nn.Linear(hidden_size, hidden_size, bias=False)
            self.energy = nn.Linear(hidden_size, 1, bias=False)

    def forward(
        self,
        start: Tensor,
        given: Tensor | None,
        generator: torch.Generator | None,
        shape: Callable[[Tensor], Tensor],
        masks: _Masks | None,
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return each decision's picks (n,) and log-probabilities (n, k), and the last hidden state."""
        n = len(start)
        nodes: dict[int, Tensor] = {}
        keys: dict[int, Tensor] = {}
        for row, node in enumerate(self.input_nodes):
            nodes[node] = self.node_embeddings.weight[row].expand(n, -1)
            keys[node] = self.key(nodes[node])
        hidden, memory = self.lstm(start)
        picks, log_probabilities = [], []
        for column, decision in enumerate(self.decisions):
            if decision.kind == "input":
                energies = torch.stack([keys[node] for node in decision.values], 1) + self.query(hidden)[:, None]
                logits = self.energy(torch.tanh(energies))[..., 0]
            else:
                logits = self.heads[self.head_of[column]](hidden)
            row_log_probabilities = torch.log_softmax(shape(logits), 1)
            pick = _draw(row_log_probabilities, generator) if given is None else given[:, column]
            picks.append(pick)
            if masks is not None:
                masks.advance(pick)
            log_probabilities.append(row_log_probabilities)
            if decision.kind == "input":
                candidates = torch.stack([nodes[node] for node in decision.values], 1)
                embedded = candidates[torch.arange(n, device=pick.device), pick]
            else:
                embedded = self.embeddings[self.head_of[column]](pick)
            hidden, memory = self.lstm(embedded, (hidden, memory))
            if decision.node is not None and self._ends_node(column):
                nodes[decision.node] = hidden
                if hasattr(self, "key"):
                    keys[decision.node] = self.key(hidden)
        return picks, log_probabilities, hidden

    def _ends_node(self, column: int) -> bool:
        following = self.decisions[column + 1 : column + 2]
        return not following or following[0].node != self.decisions[column].node


def _input_nodes(decisions: tuple[Decision, ...]) -> list[int]:
    """Return the nodes that input picks may read and that no decision of the cell builds."""
    built = {decision.node for decision in decisions}
    read = {node for decision in decisions if decision.kind == "input" for node in decision.values}
    return sorted(read - built)


def _draw(log_probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    probabilities = log_probabilities.exp()
    if generator is not None:
        probabilities = probabilities.to(generator.device)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(log_probabilities.device)
