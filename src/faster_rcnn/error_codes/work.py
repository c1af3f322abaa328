"""Codes of faults in what a command is given and finds out: images to predict, models, options, runs, results."""

from __future__ import annotations

from faster_rcnn.error_codes.code import ErrorCode

OF_WORK = (
    ErrorCode(
        "E121",
        "An argument of predict is not an image",
        "The array, tensor or object from Python has an unknown type, shape, range or order of its channels.",
        "image 1 is an array of (3, 720, 1280), channels first; arrays are (height, width, 3): transpose(1, 2, 0), or "
        "give a tensor",
        "Give a path, bytes, a PIL image, an RGB array (height, width, 3) or an RGB tensor (3, height, width), as "
        "uint8 or as floats in 0..1.",
    ),
    ErrorCode(
        "E122",
        "A source holds no image",
        "A path does not exist or holds no image that can be used. Where other sources hold images this is a warning "
        "and the command goes on.",
        "images is a folder; give its images, such as sorted(Path(...).glob('*.jpg'))",
        "Correct the path, or name files and folders that hold images.",
    ),
    ErrorCode(
        "E123",
        "A model file, checkpoint or run cannot be used",
        "The file is missing, damaged, unsafe to load, of another kind, or its weights and classes do not fit what "
        "they are used for. Nothing was loaded. Pickles are never executed.",
        "best.pt is a pickle, which could run any code; it is not loaded. See faster-rcnn import --help",
        "Copy the file again, import weights of other projects with faster-rcnn import, or name the matching model.",
    ),
    ErrorCode(
        "E124",
        "A run cannot be resumed with other data or settings",
        "A resumed run must end as if it had not been interrupted, so data and settings must be the ones it began "
        "with. The message lists the differences.",
        "cannot go on with the run in runs/cells with other settings: training.lr 0.08 -> 0.5. Leave them out, or "
        "begin a new run with --weights runs/cells/last.safetensors",
        "Leave out the changed options, or begin a new run from the weights with --weights.",
    ),
    ErrorCode(
        "E125",
        "An option or a setting is unknown or has an unusable value",
        "The name of a setting or preset does not exist, a value has the wrong type or range, or two values contradict "
        "each other.",
        "there is no preset 'smal'; presets are small, small-plus, fast, base, base-v2, mobile, mobile-320, paper, c4",
        "List names, values, units and ranges of all settings with faster-rcnn config, and options with --help.",
    ),
    ErrorCode(
        "E126",
        "The chosen device cannot be used",
        "The device does not exist on this machine, or the chosen precision or compilation works on CPUs only.",
        "--device cuda:1: this machine has 1 CUDA device (cuda:0). The CPU works: --device cpu",
        "Choose another device with --device, or another precision.",
    ),
    ErrorCode(
        "E128",
        "Training diverged",
        "A loss or a gradient is not finite, or the loss is far above its start. The weights of the last good step are "
        "kept.",
        "the loss became 2.5e+05, above 4100, a thousand times that of the first steps",
        "Start again with the lower learning rate that the message proposes.",
        (3,),
    ),
    ErrorCode(
        "E132",
        "An output would overwrite something",
        "The output is a file that the command reads, a file of a training run, a finished run, a file of somebody "
        "else, or a folder in use by another process. Nothing was written.",
        "runs/cells holds a run already, which is finished; choose another folder with --out, or delete this one",
        "Name another file or folder.",
    ),
    ErrorCode(
        "E133",
        "The disk is full",
        "A file could not be written for lack of space. An older file of the same name is kept.",
        "no space left to write runs/cells/last.safetensors; the old file is kept; free some and run the command again",
        "Free some space and run the command again; an interrupted training goes on with --resume.",
        (5,),
    ),
    ErrorCode(
        "E134",
        "Results are of other images than the data",
        "A file of detections names images or image ids that the evaluated split does not have.",
        "results.json: 2 of its 4 image ids are none of the 10 images that are measured, e.g. 90, 91; the data has the "
        "ids 3, 5 and so on. Where the results are of another split, name it with --split",
        "Name the split that the results belong to with --split, or predict again.",
    ),
    ErrorCode(
        "E136",
        "A file of proposals does not fit",
        "The file is damaged, has no proposals for an image, or its proposals were made of another image or size.",
        "proposals.npz has no proposals for 3 of the 10 images of val (a.jpg, b.jpg, c.jpg); make them anew: "
        "faster-rcnn proposals DATA --method selective-search --out FILE",
        "Make the proposals again for these images with faster-rcnn proposals.",
    ),
    ErrorCode(
        "E137",
        "An output names a file where a folder is meant, or a folder where a file is meant",
        "The path exists already, or a part of it does, as the other kind of thing. Nothing was written.",
        "--out runs/cells is a file; name a folder",
        "Name another place, or remove what is there.",
    ),
    ErrorCode(
        "E138",
        "An image of results could be any of several images",
        "A file name in the results belongs equally well to several images of the data. Nothing was measured.",
        "image '0001.jpg' of the results fits both a/0001.jpg and b/0001.jpg; name it with more of its path, as "
        "predict --json does",
        "Write the results with more of the path of each image, or measure one of the folders alone.",
    ),
    ErrorCode(
        "E139",
        "A transform of training images cannot be used",
        "The function that --transform names cannot be loaded, failed for an image, or returned something that cannot "
        "be trained on. The message names the image and what was found.",
        "train/012.png: augment.py:turn returned box 2 [90, 30, 130, 50], which leaves the image of 100x80 pixels",
        "Correct the function; train --preview draws what it returns, before any training.",
    ),
)
