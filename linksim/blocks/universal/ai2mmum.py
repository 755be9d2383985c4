"""AI2MMUM: one model for all tasks, told by an instruction which one is meant.

Source: T. Jiao et al., "AI2MMUM: AI-AI Oriented Multi-Modal Universal Model Leveraging Telecom Domain Large Model",
arXiv:2505.10003. What it leaves open, and what is chosen here:

| open | choice |
|---|---|
| layers of EPNN and CFENN | `linksim.blocks.universal.alignment` |
| language model | SmolLM2-135M's first two layers; the paper has LLaMA2-7B, trained on telecom text |
| order of the tokens | prefix, keywords, radio: what the instruction makes of the layers is computed once for all \
terminals, and the radio token's own way through them ends in the head. "radio_first" is radio, prefix, keywords |
| number of prefix tokens | 4 for each task |
| scale of adapters' outputs | that of the word embeddings |
| losses of the tasks | see `linksim.blocks.universal.tasks`, summed |
| how tasks are mixed | every terminal of a step is asked all tasks |
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch

from linksim.backbone import BackboneChoice, build_backbone
from linksim.backbone.architectures import ARCHITECTURES
from linksim.backbone.files import tokenizer
from linksim.backbone.model import configuration
from linksim.blocks.universal.alignment import Alignment, ChannelEncoder, EnvironmentEncoder
from linksim.blocks.universal.base import LearnedUniversalBlock, Truth, UniversalShape, View
from linksim.blocks.universal.beams import shares_towards
from linksim.blocks.universal.rules import aligned_encoders
from linksim.blocks.universal.tasks import TASKS
from linksim.core.errors import ScenarioError
from linksim.core.options import Only
from linksim.core.registry import register
from linksim.core.types import PositiveInt

_LanguageModel = Annotated[
    BackboneChoice, Only("backbone", "num_layers", "weights", "lora_rank", "lora_alpha")]
_SAME = "user information"
_LEAST_SHARE = 1e-3
"""Share of a beam that does not point at the terminal: its side lobes tell nothing."""
_WIDTH_ALONE = 576
"""Width of the trunk where there is no language model: SmolLM2's."""


@register("universal", "ai2mmum", trains=True, requires=aligned_encoders)
class Ai2Mmum(LearnedUniversalBlock):
    """Radio token, learnable prefix and keywords through a language model with LoRA; its last token to the task's head.

    The encoders come from a method with the block `alignment` that ``universal_training.teacher`` names, and are
    frozen as in the paper; or tuned (ours). Adapters, prefixes, LoRA on queries and keys and one linear head a task are
    trained.

    :param weights: "pretrained", or "random": the ablation RL.
    :param lora: trained low-rank additions; without, the ablation WL.
    :param prompt: "learned": prefix and keywords; "fixed": keywords alone, the ablation FP; "same": one prefix and
        "user information" for all tasks, the ablation SP.
    :param num_prefix: learnable tokens of a task.
    :param order: of the tokens, "radio_last" or "radio_first".
    :param encoders: "aligned": the teacher's, frozen; "tuned": the teacher's, then trained with the rest; "scratch":
        trained with the rest from nothing, TE/TC.
    :param body: "language_model"; "none": adapters and heads alone, the ablation WM; our own controls: "attention", one
        attention layer from random weights, trained in full; "perceptron", residual layers that see the task's number,
        as many of their parameters trained as of the language model's.
    :param beam_targets: "strongest": the strongest beam is the class; "power" (ours): each beam by its share of the
        power.
    :param beam_prior: "pointing" (ours): the head of the beam task adds to what a straight line from the terminal would
        give every beam, so that it has only the surroundings to learn.
    """

    version = 2

    def __init__(self, language_model: _LanguageModel = BackboneChoice(num_layers=2), lora: bool = True,
                 prompt: Literal["learned", "fixed", "same"] = "learned", num_prefix: PositiveInt = 4,
                 order: Literal["radio_last", "radio_first"] = "radio_last",
                 encoders: Literal["aligned", "tuned", "scratch"] = "aligned",
                 body: Literal["language_model", "none", "attention", "perceptron"] = "language_model",
                 beam_targets: Literal["strongest", "power"] = "strongest",
                 beam_prior: Literal["none", "pointing"] = "none") -> None:
        super().__init__()
        self.language_model = language_model.model_copy(update={"adaptation": "lora" if lora else "frozen"})
        self.prompt, self.num_prefix, self.order = prompt, num_prefix, order
        self.encoders, self.body = encoders, body
        self.beam_targets, self.beam_prior = beam_targets, beam_prior

    def tasks(self) -> dict[str, str]:
        return {name: task.given for name, task in TASKS.items()}

    @property
    def needs_teacher(self) -> bool:
        """Whether encoders must be given."""
        return self.encoders != "scratch"

    def prepare(self, shape: UniversalShape) -> None:
        self.seen = torch.nn.ModuleDict({"channel": ChannelEncoder(shape), "environment": EnvironmentEncoder()})
        if self.encoders == "aligned":
            self.seen.requires_grad_(False)
        self.backbone = None
        if self.body in ("language_model", "attention"):
            self._prepare_language_model()
            width = self.backbone.width
        else:
            width = _WIDTH_ALONE
        if self.body == "perceptron":
            self.trunk = _Perceptron(len(TASKS), width, self.language_model)
        self.adapters = torch.nn.ModuleDict({name: torch.nn.Linear(128, width) for name in self.seen})
        self.norms = torch.nn.ModuleDict({name: torch.nn.LayerNorm(128, elementwise_affine=False)
                                          for name in self.seen})
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(width, task.num_outputs(shape))
                                          for name, task in TASKS.items()})
        self.panel, self.num_streams = shape.panel, shape.num_streams
        if self.beam_prior == "pointing":
            self.prior_weight = torch.nn.Parameter(torch.ones(()))

    def _prepare_language_model(self) -> None:
        choice = self.language_model.model_copy(update={"body": self.body})
        maps = ARCHITECTURES[configuration(choice).model_type].linear_maps
        targets = tuple(name for name in maps if name.startswith(("q_", "k_"))) or maps
        self.backbone = build_backbone(choice.model_copy(update={"lora_targets": targets}))
        words = self.backbone.word_embeddings()
        encode = tokenizer(choice.backbone)
        scale = self.backbone.embedding_std
        prefixes = {}
        for name, task in TASKS.items():
            text = _SAME if self.prompt == "same" else task.keywords
            numbers = torch.tensor(encode(text, add_special_tokens=False)["input_ids"])
            self.register_buffer(f"keywords_{name}", words[numbers].clone(), persistent=False)
            if self.prompt != "fixed":
                owner = "all" if self.prompt == "same" else name
                if owner not in prefixes:
                    prefixes[owner] = torch.nn.Parameter(scale * torch.randn(self.num_prefix, self.backbone.width))
        self.prefixes = torch.nn.ParameterDict(prefixes)
        self.scale = scale

    def learn_from(self, teacher: object) -> None:
        """Take over aligned encoders.

        :raises ScenarioError: another kind of block.
        """
        if not self.needs_teacher:
            raise ScenarioError("ai2mmum with encoders: scratch takes no teacher: leave universal_training.teacher out")
        if not isinstance(teacher, Alignment):
            raise ScenarioError("ai2mmum takes its encoders from alignment alone: name a method with universal: "
                                "alignment in universal_training.teacher")
        for name in self.seen:
            state = getattr(teacher, name).state_dict()
            # rounded as a checkpoint keeps them: what is loaded is what was trained with
            self.seen[name].load_state_dict({key: value.half().float() for key, value in state.items()})

    def saved_state(self) -> dict[str, torch.Tensor]:
        """As of every learned block; frozen encoders in half precision, to which they are rounded."""
        state = super().saved_state()
        if self.encoders == "aligned":
            state = {name: value.half() if name.startswith("seen.") else value for name, value in state.items()}
        return state

    def outputs(self, task: str, view: View) -> torch.Tensor:
        """What the task's head puts out, ``[sample, output]``."""
        return self._output(task, self._radio(TASKS[task].given, view), view)

    def _output(self, task: str, radio: torch.Tensor, view: View) -> torch.Tensor:
        told = self._told(task, radio)
        if task == "beam" and self.beam_prior == "pointing":
            told = told + self.prior_weight * shares_towards(view, self.panel).clamp_min(_LEAST_SHARE).log()
        return told

    def _radio(self, given: str, view: View) -> torch.Tensor:
        """What the adapter makes of a view, ``[sample, width]``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.encoders != "aligned"):
            features = self.norms[given](self.seen[given](view))
        return self.adapters[given](features)

    def _told(self, task: str, radio: torch.Tensor) -> torch.Tensor:
        if self.body == "none":
            return self.heads[task](torch.nn.functional.gelu(radio))
        if self.body == "perceptron":
            return self.heads[task](self.trunk(radio, list(TASKS).index(task)))
        instruction = getattr(self, f"keywords_{task}")
        if self.prompt != "fixed":
            instruction = torch.cat([self.prefixes["all" if self.prompt == "same" else task], instruction])
        radio = self.scale * radio[:, None]
        if self.order == "radio_first":
            hidden = self.backbone(torch.cat([radio, instruction.expand(len(radio), -1, -1)], 1))
        else:
            _, memory = self.backbone.forward_on(instruction[None])
            memory.batch_repeat_interleave(len(radio))
            hidden, _ = self.backbone.forward_on(radio, memory)
        return self.heads[task](hidden[:, -1])

    def train(self, mode: bool = True) -> Ai2Mmum:
        super().train(mode)
        if self.encoders == "aligned":
            self.seen.eval()  # frozen ones see what they will see
        return self

    def answer(self, task: str, view: View) -> torch.Tensor:
        return TASKS[task].answer(self.outputs(task, view), self.num_streams)

    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        radio = {given: self._radio(given, view) for given, view in views.items()}
        return sum(self._task_loss(name, radio[task.given], views[task.given], truth).mean()
                   for name, task in TASKS.items())

    def _task_loss(self, task: str, radio: torch.Tensor, view: View, truth: Truth) -> torch.Tensor:
        """Loss of every terminal, ``[sample]``."""
        return self._loss_of(task, self._output(task, radio, view), truth)

    def _loss_of(self, task: str, output: torch.Tensor, truth: Truth) -> torch.Tensor:
        return TASKS[task].loss(output, truth, self.beam_targets, self.num_streams)

    def errors(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        return sum(task.error(self.answer(name, views[task.given]), truth) for name, task in TASKS.items()) / len(TASKS)


class _Perceptron(torch.nn.Module):
    """Residual layers beside the task's own vector, with as many parameters as LoRA and prefixes have."""

    def __init__(self, num_tasks: int, width: int, beside: BackboneChoice) -> None:
        super().__init__()
        self.task = torch.nn.Embedding(num_tasks, width)
        # rank * (inputs + outputs) of the queries and of the keys, which are a third as wide, in every layer
        low_rank = beside.num_layers * beside.lora_rank * (2 * width + width + width // 3)
        hidden = max(16, low_rank // (2 * 2 * width))
        self.layers = torch.nn.ModuleList(torch.nn.Sequential(
            torch.nn.LayerNorm(width), torch.nn.Linear(width, hidden), torch.nn.GELU(), torch.nn.Linear(hidden, width))
            for _ in range(2))

    def forward(self, radio: torch.Tensor, task: int) -> torch.Tensor:
        hidden = radio + self.task.weight[task]
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return hidden
