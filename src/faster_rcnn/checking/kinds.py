"""The table of everything that ``check`` finds: the level of each kind, what it leads to, and its remedy.

An error makes an image, a box or a class wrong or useless, and a warning may. Both are faults that ``--fix`` mends, but
for the few kinds whose remedy is a decision. A remark is advice, or a property of the data that is worth knowing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "remark"]
LEVELS: tuple[Level, ...] = ("error", "warning", "remark")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding; the texts are plain sentences or phrases without markup."""

    level: Level
    title: str
    leads_to: str
    remedy: str


_LOST = "The image and its boxes are left out of training and of every measurement."
_DROPPED = "The box is dropped, so its object is trained as background."

KINDS: dict[str, Kind] = {
    "split.unreadable": Kind(
        "error",
        "splits that cannot be read",
        "Nothing of the split can be used, and training does not start.",
        "Follow the message, and check again.",
    ),
    "split.no-objects": Kind(
        "error",
        "a train split without objects",
        "There is nothing to train on, so training does not start.",
        "Label objects, or correct the faults of the boxes.",
    ),
    "image.missing": Kind("error", "images that do not exist", _LOST, "Put the file there, or correct its name."),
    "image.undecodable": Kind("error", "files that are no images", _LOST, "Replace the file by the image."),
    "image.damaged": Kind("error", "damaged or truncated images", _LOST, "Copy the image again from its origin."),
    "image.values": Kind(
        "error", "images whose values have no known range", _LOST, "Save the image with 8 or 16 bits a channel."
    ),
    "image.too-large": Kind(
        "error", "images that are too large", _LOST, "Cut the image, or raise the limit: --set data.max_pixels=N."
    ),
    "image.size-differs": Kind(
        "error",
        "images of another size than their labels say",
        "The boxes may be for another version of the image. " + _LOST,
        "Use the image that was labelled, or scale the boxes together with the size.",
    ),
    "image.turned-boxes": Kind(
        "error",
        "images stored turned, with boxes on the stored pixels",
        "Viewers turn the image by its EXIF orientation and the boxes stay behind. " + _LOST,
        "Remove the orientation tag from the image.",
    ),
    "image.labels-unreadable": Kind(
        "error", "images whose label file cannot be used", _LOST, "Correct the label file that the message names."
    ),
    "image.listed-twice": Kind(
        "error",
        "images listed more than once",
        "The objects of one entry are trained as background in the other.",
        "Join the entries of the image.",
    ),
    "image.type": Kind(
        "warning",
        "images whose name ends in another type's ending",
        "Tools that trust the ending fail, or skip the image.",
        "Give the file the ending of its content.",
    ),
    "image.orientation": Kind(
        "warning",
        "images stored turned (EXIF orientation)",
        "Tools that ignore the tag place the boxes elsewhere.",
        "Save the image upright, without the tag.",
    ),
    "image.channels": Kind(
        "warning",
        "images of unusual channels (CMYK, 16 bits, 1 bit)",
        "Every tool converts them to RGB in its own way, so colours differ between training and use.",
        "Save the image as 8-bit RGB.",
    ),
    "image.converted": Kind(
        "remark",
        "grey, transparent or palette images",
        "They are converted to RGB while they are read.",
        "Nothing needs to be done, as long as the images in use are alike.",
    ),
    "image.decoder": Kind(
        "remark",
        "images that the decoder remarks on",
        "The pixels are complete; other tools may print the same remark.",
        "Save the image again, if the remark is disturbing.",
    ),
    "image.unlisted": Kind(
        "remark",
        "pictures that no annotation mentions",
        "They are not used, neither with objects nor as background.",
        "List them, if they belong to the data.",
    ),
    "box.format": Kind(
        "error",
        "splits whose boxes are written in another format",
        "Almost all boxes are wrong, and training does not start.",
        "Convert the four numbers of every box.",
    ),
    "box.numbers": Kind("error", "boxes without four finite numbers", _DROPPED, "Correct the numbers of the box."),
    "box.no-class": Kind("error", "boxes without a class", _DROPPED, "Give the object its class."),
    "box.swapped": Kind("error", "boxes with swapped edges", _DROPPED, "Exchange the two edges."),
    "box.normalised": Kind(
        "error",
        "boxes in shares of the image among boxes in pixels",
        "The box is a speck in the image's corner, and its object is trained as background.",
        "Multiply the numbers by the image's width and height.",
    ),
    "box.flat": Kind("error", "boxes without an area", _DROPPED, "Correct the box, or remove it."),
    "box.outside": Kind("error", "boxes outside of their image", _DROPPED, "Correct the box, or remove it."),
    "box.beyond": Kind(
        "error",
        "boxes that stick out of their image",
        "The box is clipped; many of them are a sign of another image size.",
        "Clip the box, or draw it again.",
    ),
    "box.trimmed": Kind(
        "remark",
        "boxes that stick out by at most a pixel",
        "They are clipped; tools differ in whether they count the last pixel.",
        "Nothing needs to be done.",
    ),
    "box.duplicate": Kind(
        "warning",
        "boxes that occur twice",
        "The object counts twice in every measurement, and one of the two is always missed.",
        "Remove one of them.",
    ),
    "box.two-classes": Kind(
        "remark",
        "boxes that two classes share",
        "At most one of the two can be right, unless objects have several classes.",
        "Decide for one class.",
    ),
    "id.image-twice": Kind(
        "error",
        "image ids that occur twice",
        "Annotations could belong to either image, and training does not start.",
        "Give each image its own id.",
    ),
    "id.annotation-twice": Kind(
        "warning",
        "annotation ids that occur twice",
        "Tools that look annotations up by their id lose one of the two.",
        "Number the annotations anew.",
    ),
    "id.orphan": Kind(
        "warning",
        "annotations of images that are not listed",
        "They are not used; many of them are a sign of mixed files.",
        "Remove them, or list their images.",
    ),
    "class.undeclared": Kind(
        "error",
        "boxes of classes that are not declared",
        "Training does not start, since the boxes have no class.",
        "Declare the class, or correct its number.",
    ),
    "class.id-twice": Kind(
        "error",
        "class ids with two names",
        "Boxes could be of either class, and training does not start.",
        "Give each class its own id; which boxes are whose has to be decided by a person.",
    ),
    "class.name-twice": Kind(
        "error",
        "classes declared twice",
        "One class would be learnt as two, and training does not start.",
        "Keep one of the two ids.",
    ),
    "class.spelling": Kind(
        "warning",
        "classes whose names differ in letter case or blanks alone",
        "They are learnt as different classes, and each is wrong for the other's objects.",
        "Give them one name.",
    ),
    "class.ids-differ": Kind(
        "error",
        "classes whose ids differ between splits",
        "Every evaluation would be wrong, so training does not start.",
        "Give the class the same id in all splits.",
    ),
    "class.one-split": Kind(
        "error",
        "classes that train or val lacks",
        "The class is not learnt, or not validated, so training does not start or an evaluation is refused.",
        "Declare the same classes in all splits.",
    ),
    "class.not-in-test": Kind(
        "warning",
        "classes that only some of the splits for measuring declare",
        "Training leaves the split aside, and convert does not start.",
        "Declare the same classes in all splits.",
    ),
    "class.background": Kind(
        "error",
        "boxes of a class called background",
        "Background is every place without an object and is built in, so training does not start.",
        "Remove the boxes, or rename the class.",
    ),
    "duplicate.within": Kind(
        "warning",
        "images that occur twice in a split",
        "The image counts twice, and labels that differ contradict each other.",
        "Keep one of them.",
    ),
    "duplicate.across": Kind(
        "warning",
        "images that two splits share",
        "The later split does not measure new images, and its AP is too high.",
        "Leave the image out of one split.",
    ),
    "duplicate.near-across": Kind(
        "warning",
        "images that nearly equal one of another split",
        "The later split does not measure new images, and its AP is too high.",
        "Leave the image out of one split.",
    ),
    "duplicate.near": Kind(
        "remark",
        "images that nearly equal one of the same split",
        "They add little; neighbours of a film are a reason to take fewer frames.",
        "Nothing needs to be done, as long as they are in one split.",
    ),
    "balance.classes": Kind(
        "remark",
        "classes of very uneven sizes",
        "Rare classes are learnt late or not at all.",
        "Add images of the rare classes.",
    ),
    "balance.unlearnt": Kind(
        "remark",
        "classes without an object in train",
        "They are not learnt.",
        "Add images with them, or remove them from the list of classes.",
    ),
    "balance.unmeasured": Kind(
        "remark",
        "classes without an object in a split that measures",
        "Their AP is not known, and the mean leaves them out.",
        "Move images with them to the split.",
    ),
    "balance.few": Kind(
        "remark",
        "splits with few images or objects",
        "AP changes by chance.",
        "Add images, or compare over several seeds.",
    ),
    "size.small": Kind(
        "remark",
        "objects below 4 pixels after resizing",
        "Nothing of them is left in the features, so they are hardly found.",
        "Train on larger images (--image-size), or cut the images into tiles.",
    ),
    "anchor.recall": Kind(
        "remark",
        "anchors that many objects do not fit",
        "An object whose best anchor has a low IoU is hardly learnt by the first stage.",
        "Train with the anchors that are fitted to the data.",
    ),
    "reader.note": Kind(
        "remark",
        "remarks of the reader",
        "They tell how the files are understood.",
        "Compare them with what is meant.",
    ),
}
"""Every kind by its name, in the order of reports within a level."""
