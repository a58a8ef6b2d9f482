"""Mends for NNI 3.0, the last release, with the libraries of today.

A mend acts on the one object that it is given or made of; importing this package changes nothing in NNI.

=================== =================================================================================================
module              fault of NNI 3.0
=================== =================================================================================================
``enas``            ENAS takes a pair of images for a batch and its purpose (Lightning 2.1 and later).
``input_pick``      A choice of inputs has no form for TPE and the web page.
``proxyless_cell``  Proxyless leaves cells as they are, so that every edge upsamples.
``penalty``         The penalty of DARTS, GumbelDARTS and Proxyless has no gradient, and fails on cells.
``engine``          Two trials that start together get each other's rewards; resumed experiments stop listening.
``checkpoint``      Resumed experiments of NNI's own strategies end in UnpicklingError (torch 2.6 and later).
``experiment``      Trials show a serialized model in the web page; GridSearch's samples change in place.
``tpe_tuner``       nnictl's TPE stops when two trials were exchanged.
``loopback``        The web server, which has no password, listens on every interface.
``patience``        A tuner has ten seconds to start, most of which NNI's own imports take on a busy machine.
=================== =================================================================================================

That profilers can't follow interpolation is met by the space itself, which states its cost
(:mod:`search_spaces.profiling`).
"""
