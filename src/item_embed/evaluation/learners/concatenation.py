"""Two encoders trained apart, their vectors put one after the other: late fusion without any learning of it."""

from pathlib import Path

from item_embed.embedding.seen import Modalities
from item_embed.evaluation.learners.learner import Fitted, Material
from item_embed.evaluation.learners.resnet import ResNet
from item_embed.evaluation.learners.roberta import Roberta
from item_embed.evaluation.learners.trained import Trained, is_fitted
from item_embed.evaluation.learners.vectors import Joined
from item_embed.progress import OnProgress, silent


class Concatenation:
    """`concatenation`: `resnet50` of the photo and `roberta` of the title, each of length 1; both of full size.

    The half of a modality that a product lacks is zero.
    """

    name = "concatenation"
    sees: Modalities = "both"
    labels = False
    trains = True
    parts = (ResNet, Roberta)

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """See `Learner.fit`.

        The two are loaded from the folders beside this one that are named like it (`resnet50` beside `concatenation`,
        `resnet50-3` beside `concatenation-3`) if they are done there with the same material, and trained within this
        folder else.
        """
        total = 2 * material.config.training.steps
        fitted: list[Fitted] = []
        for done, learner in enumerate(part() for part in self.parts):
            first = done * total // 2

            def tell(step: int, _: int | None, first: int = first) -> None:
                on_progress(first + step, total)

            fitted.append(learner.fit(material, self._place(learner, material, folder), device, tell))
        return Fitted(
            embeds=Joined([part.embeds for part in fitted]),
            parameters=sum(part.parameters for part in fitted),
            samples=sum(part.samples for part in fitted),
            minutes=sum(part.minutes for part in fitted),
            cpu_minutes=sum(part.cpu_minutes for part in fitted),
        )

    def _place(self, learner: Trained, material: Material, folder: Path) -> Path:
        beside = folder.with_name(folder.name.replace(self.name, learner.name, 1))
        return beside if is_fitted(beside, learner.name, material) else folder / learner.name
